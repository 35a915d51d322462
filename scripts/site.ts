/**
 * Makes a site of the documentation that can be browsed without a server: `npm run site [-- FOLDER]`, by default
 * `dist/site`. Every page of the README's tables is in the menu, in its order; what a page links to comes along.
 *
 * @throws Error that names page and target of a link that leads nowhere, files and headings alike
 */

import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { Marked, type Tokens } from 'marked'

const root = path.join(import.meta.dirname, '..')
const assets = path.join(import.meta.dirname, 'site')

interface Heading {
  readonly depth: number
  readonly text: string
  readonly id: string
}

interface Page {
  /** of the source, from the root of the checkout: `docs/hooks/README.md` */
  readonly source: string
  readonly title: string
  readonly html: string
  readonly headings: readonly Heading[]
  /** links as they are written */
  readonly links: readonly string[]
}

export function buildSite(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
  const sources = ['*.md', '{docs,examples,src}/**/*.md'].flatMap((pattern) =>
    globSync(pattern, { cwd: root, exclude: ['docs/compatibility.head.md'] }),
  )
  const pages = new Map(sources.map((source) => [source, renderPage(source)]))
  const menu = menuOf(pages)
  for (const page of pages.values()) {
    checkLinks(page, pages)
    copyLinked(page, folder)
    write(path.join(folder, htmlName(page.source)), wholePage(page, menu))
  }
  for (const name of ['site.css', 'site.js']) cpSync(path.join(assets, name), path.join(folder, name))
  write(path.join(folder, 'index.js'), `window.sitePages = ${JSON.stringify(searchIndex(pages))}\n`)
}

function write(file: string, text: string): void {
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, text)
}

/** `docs/hooks/README.md` → `docs/hooks/index.html` */
function htmlName(source: string): string {
  return source.replace(/(^|\/)README\.md$/, '$1index.html').replace(/\.md$/, '.html')
}

function renderPage(source: string): Page {
  const headings: Heading[] = []
  const links: string[] = []
  const marked = new Marked({ gfm: true })
  marked.use({
    renderer: {
      heading({ tokens, depth, text }: Tokens.Heading): string {
        const id = freeId(slug(text), headings)
        headings.push({ depth, text: text.replaceAll('`', ''), id })
        return `<h${depth} id="${id}">${this.parser.parseInline(tokens)}</h${depth}>\n`
      },
      link({ href, tokens }: Tokens.Link): string {
        links.push(href)
        return `<a href="${attribute(siteLink(href, source))}">${this.parser.parseInline(tokens)}</a>`
      },
      image({ href, text }: Tokens.Image): string {
        links.push(href)
        return `<img src="${attribute(href)}" alt="${attribute(text)}">`
      },
      table(this, token: Tokens.Table): string {
        const head = token.header.map((cell) => `<th>${this.parser.parseInline(cell.tokens)}</th>`).join('')
        const rows = token.rows.map(
          (row) =>
            `<tr>${row.map((cell) => `<td>${this.parser.parseInline(cell.tokens)}</td>`).join('')}</tr>`,
        )
        // a table that is wider than a phone scrolls by itself
        return `<div class="table" tabindex="0"><table><thead><tr>${head}</tr></thead><tbody>${rows.join('')}</tbody></table></div>\n`
      },
    },
  })
  const html = marked.parse(readFileSync(path.join(root, source), 'utf8'), { async: false })
  return { source, title: headings[0]?.text ?? source, html, headings, links }
}

/** The id that GitHub gives a heading, so that links work in both places. */
function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-')
}

function freeId(id: string, taken: readonly Heading[]): string {
  const ids = new Set(taken.map((each) => each.id))
  if (!ids.has(id)) return id
  let number = 1
  while (ids.has(`${id}-${number}`)) number += 1
  return `${id}-${number}`
}

const outside = (href: string): boolean => /^[a-z]+:/i.test(href)

/** Where a link leads on the site: pages become HTML, folders their list. */
function siteLink(href: string, from: string): string {
  if (outside(href) || href.startsWith('#')) return href
  const [file = '', anchor] = href.split('#')
  const target = path.join(root, path.dirname(from), file)
  const isFolder = existsSync(target) && statSync(target).isDirectory()
  const there = isFolder ? path.posix.join(file, 'index.html') : htmlName(file)
  return anchor === undefined ? there : `${there}#${anchor}`
}

function checkLinks(page: Page, pages: ReadonlyMap<string, Page>): void {
  for (const href of page.links.filter((each) => !outside(each))) {
    const [file = '', anchor] = href.split('#')
    const target = file === '' ? page.source : path.posix.join(path.posix.dirname(page.source), file)
    if (!existsSync(path.join(root, target))) throw new Error(`${page.source}: nothing is at ${href}`)
    const headings = pages.get(target)?.headings
    if (anchor !== undefined && headings?.some(({ id }) => id === anchor) === false)
      throw new Error(`${page.source}: no heading ${href}`)
  }
}

/** Files that are no pages come along as they are; a folder gets a list of its files. */
function copyLinked(page: Page, folder: string): void {
  for (const href of page.links.filter((each) => !outside(each))) {
    const [file = ''] = href.split('#')
    const target = path.posix.join(path.posix.dirname(page.source), file).replace(/\/$/, '')
    if (file === '' || target.endsWith('.md')) continue
    if (statSync(path.join(root, target)).isDirectory()) copyFolder(target, folder)
    else copyFile(target, folder)
  }
}

function copyFile(target: string, folder: string): void {
  const to = path.join(folder, target)
  mkdirSync(path.dirname(to), { recursive: true })
  cpSync(path.join(root, target), to)
}

function copyFolder(target: string, folder: string): void {
  const list = path.join(folder, target, 'index.html')
  if (existsSync(path.join(root, target, 'README.md')) || existsSync(list)) return
  const files = globSync('**/*.*', { cwd: path.join(root, target) }).toSorted()
  for (const file of files) copyFile(path.join(target, file), folder)
  const items = files.map((file) => `<li><a href="${attribute(file)}">${escape(file)}</a></li>`).join('\n')
  const html = `<h1>${escape(target)}</h1>\n<ul>\n${items}\n</ul>\n`
  write(list, wholePage({ source: `${target}/README.md`, title: target, html, headings: [], links: [] }, []))
}

interface MenuGroup {
  readonly title: string
  readonly pages: readonly { readonly source: string; readonly title: string }[]
}

/** The tables under "Documentation" of the README are the menu; a page that none of them names comes last. */
function menuOf(pages: ReadonlyMap<string, Page>): readonly MenuGroup[] {
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8')
  const [, documentation = ''] = readme.split('## Documentation\n')
  const groups: { title: string; pages: { source: string; title: string }[] }[] = []
  for (const line of documentation.split('\n## ')[0]?.split('\n') ?? []) {
    const [, title] = /^\| ([^|[]+) \| \|$/.exec(line) ?? []
    if (title !== undefined) groups.push({ title, pages: [] })
    const [, href = ''] = /^\| \[[^\]]*\]\(([^)]*)\)/.exec(line) ?? []
    const page = pages.get(href)
    if (page !== undefined) groups.at(-1)?.pages.push({ source: href, title: page.title })
  }
  const named = new Set(groups.flatMap((group) => group.pages.map(({ source }) => source)))
  const others = [...pages.values()].filter(({ source }) => !named.has(source) && source !== 'README.md')
  return [...groups, { title: 'more', pages: others }]
}

function wholePage(page: Page, menu: readonly MenuGroup[]): string {
  const here = htmlName(page.source)
  const up = '../'.repeat(here.split('/').length - 1)
  const groups = menu.map(({ title, pages }) => {
    const items = pages.map(({ source, title: name }) => {
      const current = source === page.source ? ' aria-current="page"' : ''
      return `<li><a href="${up}${attribute(htmlName(source))}"${current}>${escape(name)}</a></li>`
    })
    return `<h2>${escape(title)}</h2>\n<ul>\n${items.join('\n')}\n</ul>`
  })
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(page.title)} – Postern</title>
<link rel="stylesheet" href="${up}site.css">
<script defer src="${up}index.js"></script>
<script defer src="${up}site.js" data-root="${up}"></script>
</head>
<body>
<a class="skip" href="#main">To the text</a>
<nav aria-label="Pages">
<p class="name"><a href="${up}index.html">Postern</a></p>
<label for="find">Find a heading</label>
<input id="find" type="search" autocomplete="off">
<ul id="found" aria-live="polite"></ul>
${groups.join('\n')}
</nav>
<main id="main">
${page.html}</main>
</body>
</html>
`
}

/** What the search looks through: place and text of every heading. */
function searchIndex(pages: ReadonlyMap<string, Page>): readonly (readonly [string, string, string])[] {
  return [...pages.values()].flatMap((page) =>
    page.headings.map(({ id, text }) => [`${htmlName(page.source)}#${id}`, text, page.title] as const),
  )
}

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

const attribute = (text: string): string => escape(text).replaceAll('"', '&quot;')

if (import.meta.main) {
  const folder = path.resolve(process.argv[2] ?? path.join(root, 'dist', 'site'))
  buildSite(folder)
  process.stdout.write(`${path.join(folder, 'index.html')}\n`)
}
