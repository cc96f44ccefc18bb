// A problem with the configuration: where it is, what it is, and what to do.
//
// Place on the path: off it; `serve`, `doctor` and SIGHUP print them. Problems are values, all of them at once.

export interface Problem {
  /** File and line with the key, an environment variable, or a path. */
  readonly where: string
  /** What is wrong. */
  readonly what: string
  /** What to do next; '' when `what` says it. */
  readonly hint: string
}

/** One sentence for a terminal or a log line; it stays one line whatever a file or the environment names. */
export function formatProblem(problem: Problem): string {
  const { where, what, hint } = problem
  return `${where}: ${what}${hint === '' ? '' : ` (${hint})`}`.replace(unsafe, character => {
    const code = character.charCodeAt(0)
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`
  })
}

/** Controls, and what changes the direction or the visibility of other characters. */
const unsafe = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g

/** The known name that is most like an unknown one; undefined when none is near. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const most = Math.max(2, Math.floor(name.length / 3))
  let best: string | undefined
  let bestDistance = most + 1
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase().slice(0, 64), candidate)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** How many letters must be added, taken away or changed (Levenshtein). */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      current.push(Math.min(previous[j]! + 1, current[j - 1]! + 1, change))
    }
    previous = current
  }
  return previous[b.length]!
}
