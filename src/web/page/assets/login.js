/** The way in. */

import { login } from './api.js'
import { h, problem, replace } from './dom.js'

/** @param enter what comes after it */
export function loginView(app, enter) {
  const errors = h('div', { id: 'login-errors' })
  const user = h('input', {
    id: 'user',
    name: 'user',
    autocomplete: 'username',
    autocapitalize: 'none',
    spellcheck: 'false',
    required: true,
  })
  const password = h('input', {
    id: 'password',
    name: 'password',
    type: 'password',
    autocomplete: 'current-password',
    required: true,
  })
  const button = h('button', { type: 'submit', class: 'strong' }, 'Log in')
  const form = h(
    'form',
    { class: 'login', 'aria-describedby': 'login-errors', onsubmit: (event) => void send(event) },
    h('h1', {}, h('img', { src: '/page/icon.svg', alt: '', width: 32, height: 32 }), 'Postern'),
    errors,
    h('label', { for: 'user' }, 'User'),
    user,
    h('label', { for: 'password' }, 'Password'),
    password,
    button,
  )
  async function send(event) {
    event.preventDefault()
    button.disabled = true
    replace(errors)
    try {
      enter(await login(user.value, password.value))
    } catch (error) {
      replace(errors, problem(error))
      password.value = ''
      password.focus()
    } finally {
      button.disabled = false
    }
  }
  replace(app, h('main', { id: 'main', class: 'login-page' }, form))
  user.focus()
}
