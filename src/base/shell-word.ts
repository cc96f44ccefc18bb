// Commands that we print are made to be pasted: whatever stands in them reaches the command as it is.

/** A text as one word of a POSIX shell. */
export function shellWord(text: string): string {
  return /^[\w./@%+,:=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
