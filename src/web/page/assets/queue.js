/** The queue by domain, and what may be done about it: each act is asked about once more, and failing shows first what it would do. */

import { act, view } from './api.js'
import { count, h, moment, pageHead, problem, replace } from './dom.js'
import { dataTable, plain } from './table.js'

export function queue({ user, rest, params }) {
  const [binding, domain] = rest
  return binding !== undefined && domain !== undefined
    ? messages({ user, binding, domain })
    : domains({ user, params })
}

function domains({ user, params }) {
  const table = dataTable({
    view: 'queue',
    caption: 'Messages that wait, by binding and domain',
    noun: 'queue',
    params,
    columns: [
      { key: 'domain', head: 'Domain', wide: true, cell: queueLink },
      { key: 'binding', head: 'Group/Binding' },
      { key: 'active', head: 'Active', numeric: true },
      { key: 'delayed', head: 'Delayed', numeric: true },
      ...(user.mayAct
        ? [{ key: 'acts', head: 'Acts', fixed: true, cell: (_value, row) => acts(row, load) }]
        : []),
    ],
  })
  function load() {
    void table.load()
  }
  load()
  return {
    element: h('div', {}, pageHead('Queue', 'What was accepted and has not left yet.'), table.element),
    refresh: () => void table.load({ refresh: true }),
  }
}

function queueLink(domain, { binding }) {
  const href = `#/queue/${encodeURIComponent(binding)}/${encodeURIComponent(domain)}`
  return h('a', { href }, domain === '' ? '(none)' : domain)
}

function messages({ user, binding, domain }) {
  const place = h('div')
  async function load(refresh = false) {
    try {
      replace(place, messageTable(await view('messages', { binding, domain }, { refresh })))
    } catch (error) {
      if (error.status !== 401) replace(place, problem(error))
    }
  }
  void load()
  return {
    element: h(
      'div',
      {},
      pageHead(
        domain,
        `What waits by way of ${binding}, what leaves first first.`,
        user.mayAct && acts({ binding, domain }, load),
        h('a', { href: '#/queue' }, 'All queues'),
      ),
      place,
    ),
    refresh: () => {
      if (!place.contains(document.activeElement)) void load(true)
    },
  }
}

/** head, what is shown, and whether it is long */
const messageColumns = [
  ['Message', ({ id }) => h('span', { class: 'mono' }, id)],
  ['State', ({ state }) => state],
  ['From', ({ sender }) => (sender === '' ? h('span', { class: 'nothing' }, 'null sender') : sender)],
  ['To', ({ recipient }) => recipient, 'wide'],
  ['Created', ({ created }) => moment(created)],
  ['Attempts', ({ attempts }) => plain(attempts)],
  ['Next', ({ nextAttempt }) => (nextAttempt === null ? plain(null) : moment(nextAttempt))],
  ['Last answer', ({ lastReply }) => plain(lastReply), 'wide'],
]

function messageTable({ rows, messages: all }) {
  if (rows.length === 0) return h('p', { class: 'notice' }, 'Nothing waits here any more.')
  const cells = (row) =>
    messageColumns.map(([head, show, width]) =>
      h('td', { role: 'cell', 'data-head': head, class: width }, show(row)),
    )
  const heads = messageColumns.map(([head]) => h('th', { scope: 'col', role: 'columnheader' }, head))
  return h(
    'section',
    { class: 'table-view' },
    h(
      'table',
      { role: 'table' },
      h(
        'caption',
        {},
        rows.length < all ? `The first ${rows.length} of ${count(all, 'message')}` : count(all, 'message'),
      ),
      h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, heads)),
      h(
        'tbody',
        { role: 'rowgroup' },
        rows.map((row) => h('tr', { role: 'row' }, cells(row))),
      ),
    ),
  )
}

function acts({ binding, domain }, done) {
  const press = (text, ask) =>
    h(
      'button',
      { type: 'button', 'aria-label': `${text} ${domain}`, onclick: () => ask({ binding, domain }, done) },
      `${text}…`,
    )
  return h('span', { class: 'row-acts' }, press('Flush', askFlush), press('Fail', askFail))
}

function askFlush(queueName, done) {
  const body = h(
    'p',
    {},
    'What is delayed is tried now, and hosts that were given up for a while may be tried again.',
  )
  const dialog = openDialog(`Flush ${queueName.domain}?`, [
    h('p', { class: 'mono' }, queueName.binding),
    body,
  ])
  const button = h('button', { type: 'button', class: 'strong' }, 'Flush')
  button.addEventListener('click', () =>
    dialog.run(button, async () => {
      const { data } = await act('flush', queueName)
      return `${count(data.messages, 'message')} requeued.`
    }),
  )
  dialog.buttons(button)
  dialog.onclose(done)
}

async function askFail(queueName, done) {
  const place = h('div', { role: 'status' }, h('p', { class: 'waiting' }, 'Counting…'))
  const dialog = openDialog(`Fail ${queueName.domain}?`, [
    h('p', { class: 'mono' }, queueName.binding),
    place,
  ])
  dialog.buttons()
  dialog.onclose(done)
  try {
    const { data } = await act('fail', { ...queueName, dryRun: true })
    const quiet = h('input', { type: 'checkbox', id: 'quiet' })
    const senders = data.listed.map(({ sender, recipient }) => h('li', {}, `<${sender}> to <${recipient}>`))
    replace(
      place,
      h(
        'p',
        {},
        h('strong', {}, `${count(data.messages, 'message')} would fail.`),
        data.underWay > 0 && ` What is being delivered is left alone: ${count(data.underWay, 'message')}.`,
        ' This cannot be taken back.',
      ),
      senders.length > 0 &&
        h('ul', { class: 'sample', tabindex: '0', 'aria-label': 'Some of them' }, senders),
      h('label', { class: 'check' }, quiet, 'Quietly: no bounces to their senders'),
    )
    if (data.messages === 0) return
    const button = h('button', { type: 'button', class: 'danger' }, `Fail ${count(data.messages, 'message')}`)
    button.addEventListener('click', () =>
      dialog.run(button, async () => {
        const result = await act('fail', { ...queueName, quiet: quiet.checked })
        return `${count(result.data.messages, 'message')} failed.`
      }),
    )
    dialog.buttons(button)
  } catch (error) {
    replace(place, problem(error))
  }
}

/** A question that keeps everything else waiting. */
function openDialog(title, content) {
  const heading = h('h2', { id: 'dialog-title' }, title)
  const result = h('div', { role: 'status' })
  const row = h('div', { class: 'dialog-acts' })
  const element = h('dialog', { 'aria-labelledby': 'dialog-title' }, heading, content, result, row)
  const cancel = h('button', { type: 'button', onclick: () => element.close() }, 'Cancel')
  element.addEventListener('close', () => element.remove())
  document.body.append(element)
  element.showModal()
  cancel.focus()
  return {
    buttons: (...more) => replace(row, cancel, more),
    onclose: (listener) => element.addEventListener('close', () => listener()),
    async run(button, work) {
      button.disabled = true
      try {
        const text = await work()
        replace(result, h('p', { class: 'notice good' }, text))
        button.remove()
        cancel.textContent = 'Close'
        cancel.focus()
      } catch (error) {
        replace(result, problem(error))
        button.disabled = false
      }
    },
  }
}
