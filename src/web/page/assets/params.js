/** What an address says behind its question mark: `#/sessions?find=192.0.2`. */

/** @param prefix of the names, where a view has several tables */
export function routeParams(prefix = '') {
  return {
    prefix,
    get: (name) => read().get(name) ?? '',
    /** Is no step for the way back. */
    set(name, value) {
      const words = read()
      if (value === '') words.delete(name)
      else words.set(name, value)
      const [path] = location.hash.split('?')
      const text = words.toString()
      history.replaceState(history.state, '', text === '' ? path || '#/' : `${path}?${text}`)
    },
    with: (more) => routeParams(more),
  }
}

function read() {
  return new URLSearchParams(location.hash.split('?')[1] ?? '')
}
