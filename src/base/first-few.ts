// A list of names in a sentence: the first few, and how many there are besides.

const fewMax = 5

/** `a, b, c`; of more than five the first five and `and N more`. */
export function firstFew(names: readonly string[]): string {
  const few = names.slice(0, fewMax).join(', ')
  return names.length > fewMax ? `${few} and ${names.length - fewMax} more` : few
}
