// The value of a header field of a message in the inbox, for a line of a list.
//
// Not a parser for anything that matters: it looks at the first 64 KiB and shows encoded words as they are.

const lookedAtBytes = 65_536

/** The first field of this name, unfolded; '' when there is none. */
export function headerText(content: Buffer, name: string): string {
  const head = content.subarray(0, lookedAtBytes).toString('utf8')
  let value: string | null = null
  for (const line of head.split('\r\n')) {
    if (value !== null) {
      if (!line.startsWith(' ') && !line.startsWith('\t')) break
      value += line
    } else if (line === '') break
    else if (line.slice(0, name.length + 1).toLowerCase() === `${name}:`) value = line.slice(name.length + 1)
  }
  return (value ?? '').trim()
}
