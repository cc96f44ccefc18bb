// White space as mail has it: space and tab (RFC 5322 §2.2.2, WSP), and nothing else.
//
// Place on the path: wherever a value of a header or a line of a body is trimmed. JavaScript's trim takes no-break spaces
// and a dozen other characters as well, which are part of a text or an address for every other reader.

const SP = 0x20
const TAB = 0x09

/** Without the blanks at both ends. */
export function trimBlanks(text: string): string {
  let start = 0
  while (isBlank(text.charCodeAt(start))) start++
  return trimBlanksEnd(start === 0 ? text : text.slice(start))
}

/** Without the blanks at the end. */
export function trimBlanksEnd(text: string): string {
  let end = text.length
  while (end > 0 && isBlank(text.charCodeAt(end - 1))) end--
  return end === text.length ? text : text.slice(0, end)
}

function isBlank(code: number): boolean {
  return code === SP || code === TAB
}
