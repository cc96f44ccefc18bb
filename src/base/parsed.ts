// What a parser of people's text answers with: never a throw.

/** A parsed value, or the sentence that says what is wrong. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly why: string }
