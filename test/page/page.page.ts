/** The operators' page in a real Chromium: every view with data, without, and with names that mean harm; for keyboard, screen reader and phone. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Browser } from 'playwright-core'
import { testPki } from '../support/test-ca.ts'
import { faults, go, launch, visit } from './browser.ts'
import { HOSTILE, type PageGate, startPageGate } from './page-gate.ts'

const NAMES = ['mx1.bank.example', 'mail.branch-17.example', 'scanner.office.example', 'relay.shop.example']
const VIEWS = [
  'overview',
  'sessions',
  'verdicts',
  'why',
  'why/E1%2Funverified',
  'shadow',
  'certificates',
  'queue',
  'queue/default%2Fdefault/domain0.example',
  'configuration',
  'configuration/ESMTP_Listener%20Listen%20%22127.0.0.1%3A2525%22',
  'explain',
]

let browser: Browser
let full: PageGate
let empty: PageGate
let hostile: PageGate

before(async () => {
  browser = await launch()
  full = await startPageGate({ sessions: 10_000, names: NAMES })
  empty = await startPageGate({ sessions: 0, names: NAMES, empty: true })
  hostile = await startPageGate({ sessions: 60, names: HOSTILE })
})
after(async () => {
  await browser.close()
  await Promise.all([full, empty, hostile].map((gate) => gate.stop()))
})

describe('every view', () => {
  for (const scheme of ['light', 'dark'] as const) {
    for (const [device, viewport] of [
      ['desktop', { width: 1280, height: 800 }],
      ['phone', { width: 390, height: 844 }],
    ] as const) {
      test(`has no serious fault for those who do not see it: ${scheme}, ${device}`, async () => {
        const { page, complaints } = await visit(browser, full.url, { colorScheme: scheme, viewport })
        for (const view of VIEWS) {
          await go(page, `#/${view}`)
          assert.deepEqual(await faults(page), [], view)
          const wide = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
          assert.ok(Number(wide) <= 0, `${view} is ${String(wide)} pixels too wide`)
        }
        assert.deepEqual(complaints, [])
        await page.context().close()
      })
    }
  }

  test('says so where there is nothing yet', async () => {
    const { page, complaints } = await visit(browser, empty.url)
    const said: Readonly<Record<string, RegExp>> = {
      overview: /Nothing\. No certificate ends/,
      sessions: /There are no inbound sessions/,
      verdicts: /No handshake has ended in this time/,
      why: /No connection with TLS is remembered/,
      shadow: /No handshake has ended in a scope|Nobody would be refused/,
      certificates: /Nothing has an end/,
      queue: /The queue is empty/,
    }
    for (const [view, text] of Object.entries(said)) {
      await go(page, `#/${view}`)
      assert.match(await page.locator('main').innerText(), text, view)
      assert.deepEqual(await faults(page), [], view)
    }
    assert.deepEqual(complaints, [])
    await page.context().close()
  })

  test('shows names that mean harm as what they are, and nothing of them acts', async () => {
    const { page, complaints } = await visit(browser, hostile.url)
    for (const view of VIEWS) {
      await go(page, `#/${view}`)
      assert.equal(
        await page.locator('main img, main script, main iframe, main [onerror], main [style]').count(),
        0,
        view,
      )
      assert.doesNotMatch(await page.title(), /taken/, view)
      const text = await page.locator('main').innerText()
      assert.doesNotMatch(text.replaceAll(/[\n\t]/g, ' '), /[\p{Cc}\p{Cf}]/u, view)
      assert.equal(await page.locator('main a:not([href^="#/"])').count(), 0, view)
    }
    await go(page, '#/sessions')
    const text = await page.locator('main').innerText()
    assert.ok(text.includes('<img src=x onerror="document.title=\'taken\'">'), 'the name is shown as text')
    assert.match(text, /\\u\{202e\}gpj\.exe/)
    assert.deepEqual(complaints, [])
    await page.context().close()
  })
})

describe('ten thousand sessions', () => {
  test('the first view and the first page of the table are there within a second', async () => {
    const { page } = await visit(browser, full.url)
    for (const [view, ready] of [
      ['overview', '.tile .number'],
      ['sessions', 'tbody tr:nth-child(50)'],
    ] as const) {
      const times: number[] = []
      for (let round = 0; round < 3; round++) {
        await page.goto('about:blank')
        const began = performance.now()
        await page.goto(`${full.url}/page/#/${view}`)
        await page.locator(ready).first().waitFor()
        times.push(performance.now() - began)
      }
      // the best of three: other tests share the machine
      assert.ok(Math.min(...times) < 1000, `${view}: ${times.map(Math.round).join(', ')} ms`)
    }
    await page.context().close()
  })

  test('are found, sorted and paged by the server; the address says how, and the way back works', async () => {
    const { page } = await visit(browser, full.url)
    await go(page, '#/sessions')
    const pager = page.locator('.pager')
    await page.getByText('1–50 of 10,000 sessions').waitFor()
    assert.equal(await page.locator('tbody tr').count(), 50)
    await pager.getByRole('button', { name: 'Next' }).click()
    await page.getByText('51–100 of 10,000 sessions').waitFor()
    await page.getByRole('button', { name: 'Messages' }).click()
    await page.locator('th[aria-sort=ascending]').waitFor()
    await page.getByRole('button', { name: 'Messages' }).click()
    await page.locator('th[aria-sort=descending]').waitFor()
    assert.equal(await page.locator('tbody tr:first-child td.numeric').last().innerText(), '5')
    await page.getByLabel('Find in: Sessions under way').fill('198.51.3.7:')
    await page.getByText('1 session of 10,000').waitFor()
    assert.match(page.url(), /find=198\.51\.3\.7/)
    await page.getByRole('link', { name: '198.51.3.7:30757' }).click()
    await page.getByRole('heading', { name: /^Connection C757/ }).waitFor()
    await page.goBack()
    await page.getByText('1 session of 10,000').waitFor()
    await page.getByLabel('Find in: Sessions under way').fill('')
    await page.getByLabel('Verdict').selectOption('unverified')
    await page.getByText('2,500 sessions of 10,000').waitFor()
    assert.deepEqual(
      [...new Set(await page.locator('tbody .verdict').allInnerTexts())].map((each) =>
        each.replace(/\s+/g, ' '),
      ),
      ['! unverified'],
    )
    await page.context().close()
  })
})

describe('from a refused client to the line of the configuration', () => {
  test('by its address, with the script and the option that decided', async () => {
    const { page } = await visit(browser, full.url)
    await go(page, '#/why')
    await page.getByLabel('Connection or client address').fill('E1/unverified')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: /E1\/unverified/ }).waitFor()
    const record = page.getByRole('region', { name: 'Decision record' })
    assert.match(await record.innerText(), /unverified/)
    assert.deepEqual(await record.locator('.place').allInnerTexts(), ['gate.conf:7', 'policy.lua:14'])
    await record.getByRole('link', { name: 'gate.conf:7' }).click()
    await page.getByText('1 value', { exact: true }).waitFor()
    assert.match(await page.locator('.setting:visible').innerText(), /TLS_Verify_Mode\s+"require"/)
    await page.goBack()
    await page.getByLabel('Connection or client address').fill('192.0.2.99')
    await page.getByRole('button', { name: 'Show' }).click()
    await page.getByRole('alert').getByText('is remembered').waitFor()
    await page.context().close()
  })

  test('explain runs in place and says which line decides', async () => {
    const { page } = await visit(browser, full.url)
    await go(page, '#/explain')
    await page.getByLabel('Client address').fill('no address')
    await page.getByRole('button', { name: 'Explain' }).click()
    await page.getByRole('alert').getByText('is not an IP address').waitFor()
    await page.getByLabel('Client address').fill('192.0.2.7')
    await page.getByRole('button', { name: 'Explain' }).click()
    await page.getByText('✕ The handshake fails').waitFor()
    assert.ok(
      (await page.locator('.steps .place').allInnerTexts()).some((each) => each.endsWith('gate.conf:7')),
    )
    assert.deepEqual(await faults(page), [])
    const { clients } = await testPki()
    await page.getByLabel(/^Certificate/).fill(clients.valid.cert)
    await page.getByRole('button', { name: 'Explain' }).click()
    await page.getByText(/✓ Let in/).waitFor()
    await page.getByLabel(/^Certificate/).fill('-----BEGIN PRIVATE KEY-----')
    await page.getByRole('button', { name: 'Explain' }).click()
    await page.getByRole('alert').getByText('private key').waitFor()
    await page.context().close()
  })
})

describe('acts', () => {
  test('failing shows first what it would do, and does it after a second yes', async () => {
    const { page, complaints } = await visit(browser, full.url)
    await go(page, '#/queue')
    const before = full.orders.length
    await page.getByRole('button', { name: 'Fail domain42.example' }).click()
    const dialog = page.getByRole('dialog', { name: 'Fail domain42.example?' })
    await dialog.getByText('7 messages would fail.').waitFor()
    assert.deepEqual(
      full.orders.slice(before).map(({ dryRun }) => dryRun),
      [true],
    )
    assert.deepEqual(await faults(page), [])
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
    assert.equal(full.orders.length, before + 1)
    await page.getByRole('button', { name: 'Fail domain42.example' }).click()
    await dialog.getByLabel(/Quietly/).check()
    await dialog.getByRole('button', { name: 'Fail 7 messages' }).click()
    await dialog.getByText('7 messages failed.').waitFor()
    const last = full.orders.at(-1)
    assert.deepEqual([last?.dryRun, last?.act.kind, last?.act.quiet], [false, 'fail', true])
    await dialog.getByRole('button', { name: 'Close' }).click()
    await page.getByRole('button', { name: 'Flush domain42.example' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Flush', exact: true }).click()
    await page.getByRole('dialog').getByText('7 messages requeued.').waitFor()
    const accounted = full.events.flatMap((event) =>
      event.kind === 'operator' && event.act === 'command' && /^binding (?!.*--dry-run)/.test(event.command)
        ? [event.command]
        : [],
    )
    assert.deepEqual(accounted, [
      'binding fail domain quiet default/default domain42.example',
      'binding flush domain default/default domain42.example',
    ])
    assert.deepEqual(complaints, [])
    await page.context().close()
  })

  test('who may only look is shown no acts', async () => {
    const { page } = await visit(browser, full.url, { user: 'bob' })
    await go(page, '#/queue')
    await page.locator('tbody tr').first().waitFor()
    assert.equal(await page.getByRole('button', { name: /^Fail/ }).count(), 0)
    assert.equal(await page.getByText('read only').count(), 1)
    await page.context().close()
  })
})

describe('with the keyboard, and with the session’s end', () => {
  test('a wrong password is said aloud; every view is reached and named', async () => {
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(`${full.url}/page/`)
    assert.deepEqual(await faults(page), [])
    await page.keyboard.type('alice')
    await page.keyboard.press('Tab')
    await page.keyboard.type('wrong')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').getByText('do not go together').waitFor()
    await page.keyboard.type('secret')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor()
    await page.reload()
    await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor()
    await page.keyboard.press('Tab')
    assert.equal(await page.locator(':focus').innerText(), 'Skip to the content')
    await page.getByRole('navigation').getByRole('link', { name: 'Queue' }).focus()
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Queue', level: 1 }).waitFor()
    await page.waitForFunction('document.activeElement.tagName === "H1"')
    assert.equal(await page.title(), 'Queue · gate.example')
    await context.close()
  })

  test('after logging out nothing is left, and nobody comes back', async () => {
    const { page } = await visit(browser, full.url)
    const before = await page.context().cookies()
    assert.deepEqual(
      before.map(({ httpOnly, sameSite }) => [httpOnly, sameSite]),
      [[true, 'Strict']],
    )
    await go(page, '#/sessions')
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.getByLabel('User').waitFor()
    assert.deepEqual(await page.context().cookies(), [])
    await page.goBack()
    await page.getByLabel('User').waitFor()
    await page.context().close()
  })
})
