// Finds the line of a key in a TOML text, for problems: the TOML library tells lines only of syntax errors.
//
// Place on the path: off it. It follows headers and `key =` lines; what it does not understand (keys in inline
// tables) gives the line of what is around it, or none. A wrong guess costs a line number, never a value.

/** The line (from 1) of a path such as `limits`, `message_size` or `listener`, 1, `address`; undefined when not found. */
export function locateKey(toml: string, path: readonly (string | number)[]): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const line = exactLine(toml, path.slice(0, length).join('\0'))
    if (line !== undefined) return line
  }
  return undefined
}

function exactLine(toml: string, wanted: string): number | undefined {
  const counts = new Map<string, number>()
  let section: string[] = []
  let lineNumber = 0
  for (const line of toml.split('\n')) {
    lineNumber++
    const header = /^\s*(\[\[?)\s*([^\]]+?)\s*\]/.exec(line)
    if (header) {
      section = splitName(header[2]!)
      if (header[1] === '[[') {
        const name = section.join('\0')
        const index = counts.get(name) ?? 0
        counts.set(name, index + 1)
        section.push(String(index))
      }
      if (section.join('\0') === wanted) return lineNumber
      continue
    }
    const key = /^\s*([A-Za-z0-9_\-."']+?)\s*=/.exec(line)
    if (key && [...section, ...splitName(key[1]!)].join('\0') === wanted) return lineNumber
  }
  return undefined
}

/** `a.b."c"` as its parts. */
function splitName(name: string): string[] {
  return name.split('.').map(part => part.trim().replace(/^(["'])(.*)\1$/, '$2'))
}
