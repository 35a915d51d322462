/** A real Chromium: one for all tests of a file, a fresh profile for each. It asks nobody but the page. */

import { execFileSync } from 'node:child_process'
import axe from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** @throws where there is none: apt-get install chromium */
export async function launch(): Promise<Browser> {
  const executablePath = execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim()
  return await chromium.launch({ executablePath, args: FLAGS })
}

export interface Visit {
  readonly page: Page
  /** what went wrong in the page, and requests to anybody else */
  readonly complaints: readonly string[]
}

/** Opens the page and logs in. */
export async function visit(
  browser: Browser,
  url: string,
  { user = 'alice', ...options }: BrowserContextOptions & { readonly user?: string } = {},
): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  page.on('dialog', (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on('request', (request) => {
    if (!request.url().startsWith(`${url}/`)) complaints.push(`asked for ${request.url()}`)
  })
  await page.goto(`${url}/`)
  await page.getByLabel('User').fill(user)
  await page.getByLabel('Password').fill('secret')
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByRole('navigation', { name: 'Views' }).waitFor()
  return { page, complaints }
}

/** Goes where a link would lead, and waits until what was asked for is there. */
export async function go(page: Page, hash: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(hash)}`)
  const view = hash.replace(/^#\//, '').replace(/\?.*$/, '')
  await page.locator(`main[data-view="${view}"]:not([aria-busy])`).waitFor()
}

interface Violation {
  readonly id: string
  readonly impact: string | null
  readonly nodes: readonly { readonly target: readonly unknown[]; readonly html: string }[]
}

/** What axe finds that is serious, in words. */
export async function faults(page: Page): Promise<readonly string[]> {
  // as if it were typed into the browser's own console: the page's policy lets no script in
  await page.evaluate(axe.source)
  const violations: readonly Violation[] = await page.evaluate(
    'axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations)',
  )
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes.map(({ target, html }) => `${String(target[0])} ${html.slice(0, 120)}`).join('; ')}`,
    )
}
