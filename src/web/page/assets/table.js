/**
 * A table of any length: found, sorted and cut by the server, one page at a time. What is looked for stands in the address,
 * so that it can be shared and comes back with the browser's way back.
 */

import { view as ask } from './api.js'
import { announce, count, h, problem, replace } from './dom.js'

/** rows of a page; the server's own number */
const SIZE = 50
const TYPING_MS = 200
/** characters of a cell from which on it is cut */
const LONG = 90

/**
 * @param {object} options
 * @param options.view the name of the view
 * @param options.caption what the table holds
 * @param options.columns `{ key, head, cell?, wide?, numeric?, fixed? }` in the order in which they are shown
 * @param options.params what the address says
 * @param options.query more for the server
 * @param options.filters elements beside the search
 * @param options.searchable false: there are few rows
 * @param options.noun what a row is
 */
export function dataTable(options) {
  return new DataTable({ query: {}, filters: [], searchable: true, noun: 'row', ...options })
}

class DataTable {
  #options
  #state
  #parts
  #asked
  #typing

  constructor(options) {
    this.#options = options
    this.#state = {
      find: this.#param('find'),
      sort: this.#param('sort'),
      order: this.#param('order'),
      page: Number(this.#param('page') || 0),
      query: options.query,
    }
    this.#parts = this.#build()
  }

  get element() {
    return this.#parts.element
  }

  /** Other rows from now on. */
  async setQuery(query) {
    this.#state.query = query
    this.#state.page = 0
    await this.load()
  }

  /** @param refresh nobody asked for it: what somebody reads, or is about to press, stays where it is */
  async load({ refresh = false } = {}) {
    const { body, errors } = this.#parts
    if (refresh && (body.contains(document.activeElement) || selectedIn(body))) return
    this.#asked?.abort()
    this.#asked = new AbortController()
    const { signal } = this.#asked
    const { find, sort, order, page, query } = this.#state
    try {
      const answer = await ask(this.#options.view, { find, sort, order, page, ...query }, { refresh, signal })
      replace(errors)
      this.#state.page = answer.page
      this.#show(answer)
      if (!refresh) this.#remember(answer)
    } catch (error) {
      if (error.name !== 'AbortError' && error.status !== 401) replace(errors, problem(error))
    }
  }

  #param(name) {
    const { params } = this.#options
    return params.get(`${params.prefix}${name}`)
  }

  #build() {
    const { caption, columns, searchable, filters } = this.#options
    const heads = columns.map((column) => this.#head(column))
    const body = h('tbody', { role: 'rowgroup' })
    const row = h(
      'tr',
      { role: 'row' },
      heads.map(({ cell }) => cell),
    )
    const table = h(
      'table',
      { role: 'table' },
      h('caption', {}, caption),
      h('thead', { role: 'rowgroup' }, row),
      body,
    )
    const status = h('span')
    const previous = h(
      'button',
      { type: 'button', class: 'quiet', onclick: () => this.#turn(-1) },
      'Previous',
    )
    const next = h('button', { type: 'button', class: 'quiet', onclick: () => this.#turn(1) }, 'Next')
    const turns = h('span', { class: 'turns' }, previous, next)
    const pager = h('div', { class: 'pager', hidden: true }, status, turns)
    const errors = h('div')
    const order = this.#orderChoice()
    const tools = h('div', { class: 'tools' }, searchable && this.#search(), filters, order)
    const element = h('section', { class: 'table-view' }, tools, errors, table, pager)
    return { element, table, body, heads, status, previous, next, turns, pager, errors, order }
  }

  #search() {
    const input = h('input', {
      type: 'search',
      value: this.#state.find,
      placeholder: 'Find…',
      'aria-label': `Find in: ${this.#options.caption}`,
      oninput: () => {
        clearTimeout(this.#typing)
        this.#typing = setTimeout(() => {
          this.#state.find = input.value.trim()
          this.#state.page = 0
          void this.load()
        }, TYPING_MS)
      },
    })
    return h('span', { class: 'find' }, input)
  }

  /** On a narrow screen there are no heads to press. */
  #orderChoice() {
    const choices = this.#options.columns
      .filter(({ fixed }) => fixed !== true)
      .flatMap(({ key, head }) => [
        [`${key}:up`, `${head}, rising`],
        [`${key}:down`, `${head}, falling`],
      ])
    const select = h(
      'select',
      {
        class: 'narrow-only',
        'aria-label': `Order of: ${this.#options.caption}`,
        onchange: () => {
          const [sort = '', order = ''] = select.value.split(':')
          this.#sort(sort, order)
        },
      },
      [[':', 'in the usual order'], ...choices].map(([value, text]) => h('option', { value }, text)),
    )
    return select
  }

  #head({ key, head, numeric, fixed }) {
    const arrow = h('span', { class: 'arrow', 'aria-hidden': 'true' })
    const press = h('button', { type: 'button', class: 'sort', onclick: () => this.#press(key) }, head, arrow)
    const cell = h(
      'th',
      { scope: 'col', role: 'columnheader', class: classOf(numeric) },
      fixed === true ? head : press,
    )
    return { key, cell, arrow }
  }

  /** Up, down, and back to what it was. */
  #press(key) {
    const { sort, order } = this.#state
    if (sort !== key) this.#sort(key, 'up')
    else if (order === 'up') this.#sort(key, 'down')
    else this.#sort('', '')
  }

  #sort(sort, order) {
    Object.assign(this.#state, { sort, order, page: 0 })
    void this.load()
  }

  #turn(by) {
    this.#state.page += by
    void this.load().then(() => this.#parts.table.scrollIntoView({ block: 'nearest' }))
  }

  #remember({ found }) {
    const { params, caption, noun } = this.#options
    const { find, sort, order, page } = this.#state
    const words = { find, sort, order, page: page === 0 ? '' : String(page) }
    for (const [name, value] of Object.entries(words)) params.set(`${params.prefix}${name}`, value)
    announce(`${count(found, noun)} in: ${caption}`)
  }

  #show({ rows, total, found, page, pages, empty }) {
    const { columns, noun } = this.#options
    const { body, heads, status, previous, next, turns, pager, order: choice } = this.#parts
    const { sort, order } = this.#state
    for (const { key, cell, arrow } of heads) {
      if (sort === key) cell.setAttribute('aria-sort', order === 'down' ? 'descending' : 'ascending')
      else cell.removeAttribute('aria-sort')
      arrow.textContent = sort !== key ? '' : order === 'down' ? ' ▼' : ' ▲'
    }
    choice.value = `${sort}:${order}`
    replace(body, rows.length === 0 ? emptyRow(empty, columns.length) : rows.map((row) => this.#row(row)))
    const first = page * SIZE + 1
    const range = `${first.toLocaleString('en')}–${(first + rows.length - 1).toLocaleString('en')} of `
    const all = found === total ? '' : ` of ${total.toLocaleString('en')}`
    status.textContent = `${pages > 1 ? range : ''}${count(found, noun)}${all}`
    previous.disabled = page === 0
    next.disabled = page >= pages - 1
    turns.hidden = pages === 1
    pager.hidden = rows.length === 0
  }

  #row(data) {
    const cells = this.#options.columns.map(({ key, head, cell, numeric, wide }) => {
      const value = cell === undefined ? plain(data[key]) : cell(data[key], data)
      const text = String(data[key] ?? '')
      const held = wide && text.length > LONG ? h('span', { class: 'clamp', title: text }, value) : value
      return h('td', { role: 'cell', 'data-head': head, class: classOf(numeric, wide) }, held)
    })
    return h('tr', { role: 'row' }, cells)
  }
}

/** What a cell says where nothing else is said about it. */
export function plain(value) {
  if (value === undefined || value === null || value === '') return h('span', { class: 'nothing' }, '–')
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  return typeof value === 'number' ? value.toLocaleString('en') : value
}

function emptyRow(text, columns) {
  return h('tr', { role: 'row' }, h('td', { role: 'cell', class: 'empty', colspan: columns }, text))
}

function classOf(numeric, wide) {
  return [numeric && 'numeric', wide && 'wide'].filter(Boolean).join(' ') || undefined
}

function selectedIn(element) {
  const selection = document.getSelection()
  return selection !== null && !selection.isCollapsed && element.contains(selection.anchorNode)
}
