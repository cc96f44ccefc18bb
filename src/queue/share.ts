// How much of a room that all accounts share one of them may take, so that none can fill it (decision 0027).

/** An account may have so many times as much as is free. */
const timesFree = 4

/** How much more somebody may take who has so much, where so much is free: afterwards he has `timesFree` of the rest. */
export function mayTake(has: number, free: number): number {
  const more = Math.floor((timesFree * free - has) / (timesFree + 1))
  // The very smallest room is for who has nothing.
  return has === 0 && free > 0 ? Math.max(1, more) : Math.max(0, more)
}
