/** An explanation as text: numbered steps, each with its source, then the conclusion. */

import type { Style } from '../io.ts'
import type { Detail, Exchange, Explanation, PolicyAnswer, Step, WithheldEffect } from './document.ts'

type Paint = (style: Style, text: string) => string

export function renderExplanation(explanation: Explanation, paint: Paint): string {
  const { client, steps, conclusion, withheld } = explanation
  const who = client.address === '' ? 'A local client' : `A client at ${client.address}`
  const shows = client.certificate === undefined ? 'no certificate' : `the certificate ${client.certificate}`
  const head = `${who}, with ${shows}, on Listen "${client.listen}" of ${explanation.configuration}\n`
  const parts = steps.map((step, index) => renderStep(step, index + 1, paint))
  return [
    head,
    ...parts,
    renderConclusion(conclusion.text, withheld.length, paint, conclusion.outcome === 'let-in'),
  ].join('\n')
}

function renderStep(step: Step, number: number, paint: Paint): string {
  const place = step.from === undefined ? '' : paint('dim', `  [${step.from}]`)
  const mark = step.conditional ? paint('yellow', ' (conditional)') : ''
  const lines = [
    ...step.details.map((detail) => renderDetail(detail, paint)),
    ...step.policy.map((answer) => renderAnswer(answer, paint)),
    ...step.dialogue.flatMap(renderExchange),
    ...step.withheld.map((effect) => paint('yellow', `withheld: ${renderEffect(effect)}`)),
    ...step.alarms.map((text) => paint('red', `panic log: ${text}`)),
  ]
  const title = `${String(number).padStart(2)}. ${paint('bold', step.title)}${place}${mark}\n`
  return title + lines.map((line) => `    ${line}\n`).join('')
}

function renderDetail({ name, value, from }: Detail, paint: Paint): string {
  return `${name}: ${value}${from === undefined ? '' : paint('dim', `  [${from}]`)}`
}

function renderAnswer(answer: PolicyAnswer, paint: Paint): string {
  const { phase, code, text, tarpit, script } = answer
  const said =
    code === undefined && text === undefined
      ? ''
      : ` ${[code, text].filter((each) => each !== undefined).join(' ')}`
  const waits = tarpit === undefined ? '' : `, after ${tarpit} s of tarpit`
  const by = script === undefined ? '' : `  ${script.name}: ${script.callout}`
  const returned = script?.defined === undefined ? undefined : `returned by the function at ${script.defined}`
  const place = script?.from ?? returned
  const from = place === undefined ? '' : paint('dim', `  [${place}]`)
  return `policy, ${phase}: ${ANSWERS[answer.answer]}${said}${waits}${by}${from}`
}

const ANSWERS: Readonly<Record<PolicyAnswer['answer'], string>> = {
  continue: 'go on',
  done: 'go on, and ask no other script',
  reply: 'answer',
  disconnect: 'close with',
  discard: 'accept and discard',
}

function renderExchange({ client, server }: Exchange): string[] {
  const said = client === undefined ? [] : [`C: ${client}`]
  return [
    ...said,
    ...(server.length === 0 ? ['S: (the connection ends)'] : server.map((line) => `S: ${line}`)),
  ]
}

export function renderEffect({ effect, arguments: values, answered }: WithheldEffect): string {
  return `${effect}(${values.join(', ')}) -> ${answered}`
}

// oxlint-disable-next-line max-params -- the pieces of one line
function renderConclusion(text: string, withheld: number, paint: Paint, good: boolean): string {
  const line = `${paint('bold', 'Conclusion:')} ${paint(good ? 'green' : 'red', text)}\n`
  if (withheld === 0) return line
  const effects = withheld === 1 ? 'one effect was' : `${withheld} effects were`
  return `${line}Conditional: ${effects} withheld, and a live gate could come to something else.\n`
}
