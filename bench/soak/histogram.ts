/** A histogram of the server's metrics over a stretch of time: what was counted between two scrapes. */

export interface Spread {
  readonly count: number
  readonly meanMs: number
  /** Upper bound of the bucket in which 99 of 100 are; NaN without any. */
  readonly p99MsMax: number
  /** The same of all of them. */
  readonly allMsMax: number
}

type Values = ReadonlyMap<string, number>

/** @param name of a histogram in seconds, without labels. */
export function spreadOf(name: string, before: Values, after: Values): Spread {
  const grown = (key: string): number => (after.get(key) ?? Number.NaN) - (before.get(key) ?? 0)
  const count = grown(`${name}_count`)
  const prefix = `${name}_bucket{le="`
  const buckets = [...after.keys()]
    .filter(key => key.startsWith(prefix))
    .map(key => ({ key, bound: key.slice(prefix.length, -2) }))
    .map(({ key, bound }) => ({
      boundMs: bound === '+Inf' ? Infinity : Number(bound) * 1000,
      upTo: grown(key),
    }))
    .sort((one, other) => one.boundMs - other.boundMs)
  const boundOf = (share: number): number =>
    count > 0 ? (buckets.find(one => one.upTo >= count * share)?.boundMs ?? Number.NaN) : Number.NaN
  return {
    count,
    meanMs: (grown(`${name}_sum`) / count) * 1000,
    p99MsMax: boundOf(0.99),
    allMsMax: boundOf(1),
  }
}
