/** What `contrib/` has for Grafana and Prometheus asks for metrics and labels that are there, and for nothing else. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { Metrics } from '../src/web/metrics.ts'

const contrib = path.join(import.meta.dirname, '..', 'contrib')
const metrics = new Metrics({ version: 'x', gauges: () => assert.fail('nobody looks') })
const known = new Map(metrics.describe().map(({ name, labels }) => [name, labels]))
/** what Prometheus itself and histograms add */
const added = new Set(['instance', 'job', 'le'])

interface Panel {
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[]
}

/** Every selector with its labels, and every grouping, of an expression. */
function checkExpression(expression: string): void {
  const names = [...expression.matchAll(/\b(?:postern|process|nodejs)_[a-z_]+/g)].map(([name]) => base(name))
  assert.ok(names.length > 0 || expression.startsWith('up{'), expression)
  const labels = new Set(added)
  for (const name of names) {
    assert.ok(known.has(name), `${name} is no metric: ${expression}`)
    for (const label of known.get(name) ?? []) labels.add(label)
  }
  const grouped = [...expression.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].flatMap(([, list = '']) =>
    list.split(', '),
  )
  const selected = [...expression.matchAll(/\{([^}]*)\}/g)].flatMap(([, list = '']) =>
    [...list.matchAll(/(\w+)(?:=~|!=|=)"/g)].map(([, label = '']) => label),
  )
  for (const label of [...grouped, ...selected])
    assert.ok(labels.has(label), `no label ${label}: ${expression}`)
}

const base = (name: string): string => name.replace(/_(bucket|sum|count)$/, '')

test('the dashboard of Grafana', () => {
  const dashboard = JSON.parse(readFileSync(path.join(contrib, 'grafana', 'postern.json'), 'utf8')) as {
    readonly panels: readonly Panel[]
  }
  const targets = dashboard.panels.flatMap((panel) => panel.targets ?? [])
  assert.ok(targets.length > 20)
  for (const { expr } of targets) checkExpression(expr)
})

test('the alert rules of Prometheus', () => {
  const text = readFileSync(path.join(contrib, 'prometheus', 'postern.rules.yml'), 'utf8')
  const expressions = [...text.matchAll(/^ +expr: (?:\|\n((?: {10,}.*\n)+)|(.*)$)/gm)].map(
    ([, block, line]) => block ?? line ?? '',
  )
  assert.equal(expressions.length, text.match(/- alert:/g)?.length)
  for (const expression of expressions) checkExpression(expression)
})
