/* Finds headings; the index is index.js. Without scripts the menu is all there is. */
const root = document.currentScript.dataset.root
const found = document.getElementById('found')

document.getElementById('find').addEventListener('input', (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean)
  const hits = words.length === 0 ? [] : window.sitePages.filter(([, text, page]) => {
    const whole = `${text} ${page}`.toLowerCase()
    return words.every((word) => whole.includes(word))
  })
  found.replaceChildren(...hits.slice(0, 20).map(([target, text, page]) => {
    const item = document.createElement('li')
    const link = document.createElement('a')
    link.href = root + target
    link.textContent = text
    const where = document.createElement('small')
    where.textContent = page
    link.append(where)
    item.append(link)
    return item
  }))
})
