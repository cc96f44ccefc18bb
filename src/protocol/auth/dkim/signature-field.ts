// The text of a DKIM-Signature field (RFC 6376 §3.5), folded.
//
// Place on the path: the signer writes the field without `b=` value, signs its canonical form, then completes
// it. Invariants: pure US-ASCII built from checked parts; lines stay under 78 characters where a tag allows it;
// no `l=`, ever (standards: replay with an appended body).

const lineMax = 77

/** The tags that differ from signature to signature. */
export interface SignatureTags {
  readonly algorithm: string
  readonly domain: string
  readonly selector: string
  readonly signedAtSec: number
  readonly expiresAtSec: number | undefined
  readonly names: readonly string[]
  readonly bodyHash: Buffer
}

/** Lines of a field under construction: words are put on the next line when the present one is full. */
class FoldedField {
  #text = ''
  #column = 0

  /** Adds a word; a space or a fold goes before it. */
  word(word: string): void {
    if (this.#column === 0) this.#put(word)
    else if (this.#column + 1 + word.length > lineMax) this.#fold(word)
    else this.#put(` ${word}`)
  }

  /** Adds text directly behind what is there, folding first (where white space is allowed) when it is too long. */
  glue(text: string): void {
    if (this.#column + text.length > lineMax) this.#fold(text)
    else this.#put(text)
  }

  /** Adds base64, cut where the line is full: RFC 6376 allows white space anywhere in it. */
  base64(text: string): void {
    let at = 0
    while (at < text.length) {
      if (this.#column >= lineMax) this.#fold('')
      const end = at + lineMax - this.#column
      this.#put(text.slice(at, end))
      at = end
    }
  }

  get text(): string {
    return this.#text
  }

  #put(text: string): void {
    this.#text += text
    this.#column += text.length
  }

  #fold(text: string): void {
    this.#text += `\r\n ${text}`
    this.#column = 1 + text.length
  }
}

/** The field up to and including `b=`, without a CRLF at the end. */
export function unsignedField(tags: SignatureTags): string {
  const field = new FoldedField()
  field.word('DKIM-Signature:')
  field.word('v=1;')
  field.word(`a=${tags.algorithm};`)
  field.word('c=relaxed/relaxed;')
  field.word(`d=${tags.domain};`)
  field.word(`s=${tags.selector};`)
  field.word(`t=${tags.signedAtSec};`)
  if (tags.expiresAtSec !== undefined) field.word(`x=${tags.expiresAtSec};`)
  field.word('h=')
  for (const [i, name] of tags.names.entries())
    field.glue(i + 1 < tags.names.length ? `${name}:` : `${name};`)
  field.word(`bh=${tags.bodyHash.toString('base64')};`)
  field.word('b=')
  return field.text
}

/** The whole field with its CRLF. */
export function signedField(unsigned: string, signature: Buffer): string {
  const folded = new FoldedField()
  folded.glue(unsigned.slice(unsigned.lastIndexOf('\n') + 1))
  folded.base64(signature.toString('base64'))
  return `${unsigned.slice(0, unsigned.lastIndexOf('\n') + 1)}${folded.text}\r\n`
}
