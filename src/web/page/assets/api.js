/** Asking the server. Who is no longer logged in is told so, once, wherever it is found out. */

/**
 * The half of a session that is no cookie. Kept for this origin, so for all its windows, and for no other port of this host;
 * worth nothing without the cookie.
 */
const TOKEN = 'postern-token'

const state = { asking: 0, onLogin: () => undefined, onMissing: () => undefined }

export class ApiError extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

/** @param onLogin nobody is logged in any more; @param onMissing sentences about workers that do not answer */
export function listenTo({ onLogin, onMissing }) {
  Object.assign(state, { onLogin, onMissing })
}

/** Who is logged in, or `{ login: true }`. */
export async function session() {
  return remember(await request('session'))
}

export async function login(user, password) {
  return remember(await post('login', { user, password }, false))
}

export async function logout() {
  await post('logout', {})
}

/** @param refresh nobody asked for this: it does not count as use */
export async function view(name, query = {}, { refresh = false, signal } = {}) {
  const words = new URLSearchParams(
    Object.entries(query).filter(([, value]) => value !== '' && value !== undefined),
  )
  const headers = refresh ? { 'X-Refresh': '1' } : {}
  const answer = await request(`view/${name}?${words}`, { headers, signal })
  state.onMissing(answer.missing ?? [])
  return answer
}

export async function act(name, body) {
  return await post(`act/${name}`, body)
}

export async function explain(question) {
  return (await post('explain', question)).explanation
}

async function post(path, body, known = true) {
  const headers = { 'Content-Type': 'application/json' }
  return await request(path, { method: 'POST', headers, body: JSON.stringify(body) }, known)
}

async function request(path, options = {}, known = true) {
  const response = await answerTo(path, options)
  const body = await response.json().catch(() => ({}))
  if (response.ok) return body
  if (response.status === 401 && known) state.onLogin()
  throw new ApiError(response.status, body.error ?? `The gate answered with ${response.status}.`)
}

/** What is being asked for is busy, for those who do not see it. */
async function answerTo(path, options) {
  const busy = options.headers?.['X-Refresh'] === undefined
  if (busy) tellBusy(1)
  try {
    const headers = { 'X-CSRF-Token': localStorage.getItem(TOKEN) ?? '', ...options.headers }
    return await fetch(`/page/api/${path}`, { credentials: 'same-origin', ...options, headers })
  } catch (error) {
    if (error.name === 'AbortError') throw error
    throw new ApiError(0, 'The gate does not answer.')
  } finally {
    // after what comes of the answer has been shown
    if (busy) setTimeout(() => tellBusy(-1))
  }
}

function tellBusy(change) {
  state.asking += change
  const main = document.getElementById('main')
  if (state.asking > 0) main?.setAttribute('aria-busy', 'true')
  else main?.removeAttribute('aria-busy')
}

function remember(answer) {
  localStorage.setItem(TOKEN, answer.csrf ?? '')
  return answer
}
