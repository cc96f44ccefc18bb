// The rule for names that people give to accounts and streams, for every place that takes one: the account service, and
// the configuration, which names accounts before there is a store to look into.

/** A name that may be used, or the sentence that says why not. */
export type NameCheck =
  | { readonly ok: true; readonly name: string }
  | { readonly ok: false; readonly why: string }

/** Checks the name of an account or stream: 1 to 64 of a-z 0-9 . _ - with a letter or digit first. */
export function checkName(name: string): NameCheck {
  if (isIdLike(name)) return { ok: false, why: `${quote(name)} looks like an id and cannot be a name` }
  if (/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name)) return { ok: true, name }
  const why = `${quote(name)} is not a name: use 1 to 64 of a-z, 0-9, dot, hyphen and underscore, a letter or digit first`
  return { ok: false, why }
}

/** Names never look like ids, so that a flag may take either. */
function isIdLike(name: string): boolean {
  return /^(acc|crd|dom|str|msg|evt|key)_[a-z2-7]{26}$/.test(name)
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 80))
}
