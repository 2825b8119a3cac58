// The text of a page as Markdown: what a person sees of it, main part first choice. Runs in the page, so what it says is
// worth what the page is worth. Bounded in time, depth and length.
(options) => {
  const until = performance.now() + options.milliseconds
  const MAX_DEPTH = 150
  const MAX_URL = 300
  const SKIPPED = new Set(['SCRIPT', 'STYLE', 'NOSCRIPT', 'TEMPLATE', 'SVG', 'CANVAS', 'IFRAME', 'OBJECT', 'VIDEO', 'AUDIO',
    'HEAD', 'SELECT', 'TEXTAREA'])
  const ASIDE = 'nav, header, footer, aside, [role=navigation], [role=banner], [role=contentinfo], [role=complementary]'
  const BLOCKS = new Set(['block', 'flex', 'grid', 'list-item', 'table', 'flow-root', 'table-row', 'table-cell'])
  let left = options.maxCharacters
  let stopped = ''
  let skipAside = false

  const isSpent = () => {
    if (!stopped && left <= 0) stopped = 'the text is longer than can be read'
    if (!stopped && performance.now() > until) stopped = 'the page is too large to be read in time'
    return stopped !== ''
  }
  const squeeze = (text) => text.replace(/\s+/g, ' ')
  const isShown = (element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) ||
    getComputedStyle(element).display === 'contents'
  const isSkipped = (element) =>
    SKIPPED.has(element.tagName.toUpperCase()) || !isShown(element) || element.getAttribute('aria-hidden') === 'true' ||
    (skipAside && element.matches(ASIDE))
  const isBlock = (element) => /^(P|DIV|UL|OL|LI|TABLE|PRE|H[1-6]|BLOCKQUOTE|HR|SECTION|ARTICLE|MAIN)$/.test(element.tagName) ||
    BLOCKS.has(getComputedStyle(element).display)
  const childrenOf = (node) => {
    if (node.tagName === 'SLOT') return node.assignedNodes().length ? node.assignedNodes() : node.childNodes
    return node.shadowRoot ? node.shadowRoot.childNodes : node.childNodes
  }
  const place = (value) => {
    try {
      const url = new URL(value, document.baseURI)
      return /^https?:$/.test(url.protocol) && url.href.length <= MAX_URL ? url.href : ''
    } catch { return '' }
  }

  const inline = (node, depth) => {
    if (isSpent() || depth > MAX_DEPTH) return ''
    if (node.nodeType === Node.TEXT_NODE) {
      const text = squeeze(node.data)
      left -= text.length
      return text
    }
    if (node.nodeType !== Node.ELEMENT_NODE || isSkipped(node)) return ''
    const tag = node.tagName
    if (tag === 'BR') return '\n'
    if (tag === 'IMG') return node.alt.trim() ? `![${squeeze(node.alt).trim()}]` : ''
    const text = Array.from(childrenOf(node), (child) => inline(child, depth + 1)).join('')
    const bare = text.trim()
    if (!bare) return text ? ' ' : ''
    if (tag === 'A' && node.hasAttribute('href')) {
      const url = place(node.getAttribute('href'))
      left -= url.length
      return url && !node.getAttribute('href').startsWith('#') ? `[${squeeze(bare)}](${url})` : text
    }
    if (tag === 'CODE' || tag === 'KBD') return '`' + bare + '`'
    if (tag === 'STRONG' || tag === 'B') return `**${bare}**`
    if (tag === 'EM' || tag === 'I') return `*${bare}*`
    return isBlock(node) ? ` ${text} ` : text
  }
  const tidy = (text) => text.replace(/[ \t]+/g, ' ').replace(/ ?\n ?/g, '\n').trim()

  const list = (element, depth) => {
    let number = Number(element.getAttribute('start') ?? 1)
    const lines = []
    for (const item of childrenOf(element)) {
      if (item.nodeType !== Node.ELEMENT_NODE || isSkipped(item)) continue
      const mark = element.tagName === 'OL' ? `${number++}. ` : '- '
      const body = blocks(item, depth + 1).join('\n').replace(/\n/g, '\n' + ' '.repeat(mark.length))
      if (body) lines.push(mark + body)
    }
    return lines.length ? [lines.join('\n')] : []
  }
  const table = (element, depth) => {
    const rows = []
    for (const row of element.rows) {
      if (isSpent()) break
      if (isSkipped(row)) continue
      rows.push(Array.from(row.cells, (cell) => tidy(inline(cell, depth + 1)).replace(/\n/g, ' ').replace(/\|/g, '\\|')))
    }
    const width = Math.max(0, ...rows.map((row) => row.length))
    if (!width) return []
    const line = (cells) => `| ${Array.from({ length: width }, (_, index) => cells[index] ?? '').join(' | ')} |`
    const caption = element.caption ? [tidy(inline(element.caption, depth + 1))] : []
    return [...caption, [line(rows[0]), `|${' --- |'.repeat(width)}`, ...rows.slice(1).map(line)].join('\n')]
  }
  const isLayout = (element) => element.querySelector('table') !== null || element.rows.length < 2 ||
    ['presentation', 'none'].includes(element.getAttribute('role'))

  const special = (element, depth) => {
    const tag = element.tagName
    if (/^H[1-6]$/.test(tag)) return [`${'#'.repeat(Number(tag[1]))} ${squeeze(inline(element, depth + 1)).trim()}`]
    if (tag === 'UL' || tag === 'OL') return list(element, depth)
    if (tag === 'HR') return ['---']
    if (tag === 'TABLE' && !isLayout(element)) return table(element, depth)
    if (tag === 'BLOCKQUOTE') return [blocks(element, depth + 1).join('\n\n').replace(/^/gm, '> ')]
    if (tag === 'PRE') {
      const code = element.textContent.slice(0, Math.max(left, 0))
      left -= code.length
      return ['```\n' + code.replace(/```/g, "'''").replace(/\n$/, '') + '\n```']
    }
    return null
  }
  const blocks = (element, depth) => {
    if (isSpent() || depth > MAX_DEPTH) return []
    const done = []
    let line = ''
    const flush = () => {
      const text = tidy(line)
      if (text) done.push(text)
      line = ''
    }
    for (const child of childrenOf(element)) {
      if (isSpent()) break
      const isElement = child.nodeType === Node.ELEMENT_NODE
      if (isElement && isSkipped(child)) continue
      if (isElement && (isBlock(child) || child.querySelector?.('p, div, ul, ol, table, h1, h2, h3, pre'))) {
        flush()
        done.push(...(special(child, depth + 1) ?? blocks(child, depth + 1)))
      } else line += inline(child, depth + 1)
    }
    flush()
    return done
  }

  const lengthOf = (element) => element.innerText?.length ?? 0
  const chosen = () => {
    const body = document.body ?? document.documentElement
    if (!options.mainOnly) return body
    skipAside = true
    const shown = [...document.querySelectorAll('main, [role=main], article')].slice(0, 50).filter(isShown)
    const articles = shown.filter((element) => element.tagName === 'ARTICLE')
    const mains = shown.filter((element) => element.tagName !== 'ARTICLE')
    const best = mains[0] ?? (articles.length === 1 ? articles[0] : body)
    return lengthOf(best) * 10 < lengthOf(body) ? body : best
  }
  const text = blocks(chosen(), 0).filter(Boolean).join('\n\n')
  return (stopped ? `${text}\n\n[cut: ${stopped}]` : text).slice(0, options.maxCharacters + 200)
}
