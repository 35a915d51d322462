/** `postern explain` in place: what a client would meet, without a connection. */

import { explain } from './api.js'
import { h, pageHead, problem, replace } from './dom.js'

export function explaining({ user, params }) {
  const result = h('div', {
    class: 'explanation',
    role: 'region',
    'aria-label': 'Explanation',
    'aria-live': 'polite',
  })
  const fields = fieldsOf(user, params)
  const button = h('button', { type: 'submit', class: 'strong' }, 'Explain')
  async function send(event) {
    event.preventDefault()
    const question = {
      listen: fields.listen.value,
      peer: fields.peer.value.trim(),
      certificate: fields.certificate.value,
    }
    button.disabled = true
    replace(result, h('p', { class: 'waiting' }, 'Asking…'))
    params.set('listen', question.listen)
    params.set('peer', question.peer)
    try {
      replace(result, show(await explain(question)))
    } catch (error) {
      replace(result, problem(error))
    } finally {
      button.disabled = false
    }
  }
  const about = 'What a client would meet, by the configuration as it is on the disk now. Nothing is sent.'
  return {
    element: h(
      'div',
      {},
      pageHead('Explain', about),
      h('form', { class: 'card form', onsubmit: (event) => void send(event) }, formOf(fields), button),
      result,
    ),
  }
}

function fieldsOf({ listens }, params) {
  const chosen = params.get('listen')
  const choices = listens.map((each) => h('option', { value: each, selected: each === chosen }, each))
  return {
    listen: h('select', { id: 'listen' }, choices),
    peer: h('input', {
      id: 'peer',
      value: params.get('peer'),
      spellcheck: 'false',
      autocapitalize: 'none',
      placeholder: '192.0.2.7',
    }),
    certificate: h('textarea', {
      id: 'certificate',
      rows: 5,
      spellcheck: 'false',
      placeholder: '-----BEGIN CERTIFICATE-----',
      'aria-describedby': 'certificate-about',
    }),
  }
}

function formOf({ listen, peer, certificate }) {
  return [
    h('div', { class: 'field' }, h('label', { for: 'listen' }, 'Listen'), listen),
    h('div', { class: 'field' }, h('label', { for: 'peer' }, 'Client address'), peer),
    h(
      'div',
      { class: 'field whole' },
      h('label', { for: 'certificate' }, 'Certificate as PEM, or nothing: the client shows none'),
      certificate,
      h(
        'p',
        { id: 'certificate-about', class: 'hint' },
        'The certificate alone, with its chain if there is one. Never a key.',
      ),
    ),
  ]
}

function show({ steps, conclusion }) {
  const good = conclusion.outcome === 'let-in'
  const doubt = ' Something was withheld: a live gate could come to something else.'
  return [
    h(
      'p',
      { class: `notice ${good ? 'good' : 'bad'}` },
      h('span', { 'aria-hidden': 'true' }, good ? '✓ ' : '✕ '),
      `${conclusion.text.charAt(0).toUpperCase()}${conclusion.text.slice(1)}.`,
      conclusion.conditional && doubt,
    ),
    h('ol', { class: 'steps' }, steps.map(step)),
  ]
}

function step({ title, from, details, dialogue, policy, withheld, alarms }) {
  return h(
    'li',
    { class: 'card' },
    h('h2', {}, title, from && h('code', { class: 'place' }, from)),
    details.length > 0 && h('dl', { class: 'facts long' }, details.map(detail)),
    policy.map((answer) =>
      h(
        'p',
        {},
        `Policy, ${answer.phase}: ${answer.answer} ${[answer.code, answer.text].filter((each) => each !== undefined).join(' ')} `,
        answer.script?.from && h('code', { class: 'place' }, answer.script.from),
      ),
    ),
    dialogue.length > 0 && h('pre', { class: 'dialogue' }, dialogue.flatMap(lines).join('\n')),
    withheld.map(({ effect, arguments: values, answered }) =>
      h('p', { class: 'hint' }, `Withheld: ${effect}(${values.join(', ')}) → ${answered}`),
    ),
    alarms.map((text) => h('p', { class: 'notice bad' }, text)),
  )
}

function detail({ name, value, from }) {
  return h('div', {}, h('dt', {}, name), h('dd', {}, value, from && h('code', { class: 'place' }, from)))
}

function lines({ client, server }) {
  const said = server.length === 0 ? ['S: (the connection ends)'] : server.map((line) => `S: ${line}`)
  return client === undefined ? said : [`C: ${client}`, ...said]
}
