/** Partners, their pins, and everything that ends. */

import { h, moment, pageHead } from './dom.js'
import { dataTable, plain } from './table.js'

export function certificates({ params }) {
  const tables = [
    { ...ends, params: params.with('e.') },
    { ...pins, params: params.with('p.') },
    { ...servers, params: params.with('s.') },
  ].map(dataTable)
  for (const table of tables) void table.load()
  return {
    element: h(
      'div',
      {},
      pageHead('Certificates', 'How long what trust rests on still lasts.'),
      tables.map(({ element }) => element),
    ),
    refresh: () => {
      for (const table of tables) void table.load({ refresh: true })
    },
  }
}

const ends = {
  view: 'expiring',
  caption: 'What ends: certificates, CAs, revocation lists',
  noun: 'entry',
  columns: [
    { key: 'days', head: 'Days left', numeric: true, cell: daysLeft },
    { key: 'notAfter', head: 'Ends', cell: moment },
    { key: 'what', head: 'What' },
    { key: 'name', head: 'Name', wide: true },
    { key: 'issuer', head: 'Issuer', wide: true },
    { key: 'source', head: 'File', wide: true, cell: mono },
    { key: 'lastSeen', head: 'Seen', cell: seen },
    { key: 'renewed', head: 'Renewed' },
  ],
}

const pins = {
  view: 'pins',
  caption: 'Pins of partners, and which are in use',
  noun: 'pin',
  columns: [
    { key: 'partner', head: 'Partner' },
    { key: 'option', head: 'Pin' },
    { key: 'place', head: 'Place' },
    { key: 'handshakes', head: 'Handshakes', numeric: true },
    { key: 'lastSeen', head: 'Seen', cell: seen },
    { key: 'notAfter', head: 'Certificate ends', cell: seen },
    { key: 'digest', head: 'SHA-256', cell: shortened },
  ],
}

const servers = {
  view: 'server-only',
  caption: 'Certificates that verify as a server’s and not as a client’s',
  noun: 'certificate',
  searchable: false,
  columns: [
    { key: 'subject', head: 'Certificate', wide: true },
    { key: 'issuer', head: 'Issuer', wide: true },
    { key: 'partner', head: 'Partner' },
    { key: 'address', head: 'Client', cell: mono },
    { key: 'handshakes', head: 'Handshakes', numeric: true },
    { key: 'lastSeen', head: 'Seen', cell: seen },
  ],
}

/** A number, and a word where it matters. */
export function daysLeft(days) {
  const [name, word] =
    days < 0 ? ['ended', 'ended'] : days <= 7 ? ['soon', 'urgent'] : days <= 30 ? ['near', 'soon'] : []
  return h('span', { class: `days ${name ?? ''}` }, word && h('span', { class: 'word' }, word), String(days))
}

function seen(value) {
  return value === null || value === undefined || value === ''
    ? h('span', { class: 'nothing' }, 'not seen')
    : moment(value)
}

function mono(value) {
  return value === '' || value === null || value === undefined
    ? plain(value)
    : h('span', { class: 'mono' }, value)
}

function shortened(digest) {
  return h('span', { class: 'mono', title: digest }, `${String(digest).slice(0, 16)}…`)
}
