// What a test needs of the machine: where it is missing the test is listed as skipped and says why, never left out unseen.

/** Options for `test` and `describe`. */
export interface NeedsMachine {
  readonly skip: string | false
}

/** @param what the missing thing in words, such as `loop devices` */
export function needsMachine(isThere: boolean, what: string): NeedsMachine {
  return { skip: isThere ? false : `this machine has no ${what}` }
}
