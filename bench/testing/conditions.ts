// The conditions of a measurement, as the bench's own tests tell them.

import type { Conditions } from '../conditions.ts'

export const sampleConditions: Conditions = {
  date: '2026-11-26',
  commit: 'abc',
  processor: 'a processor',
  cores: 2,
  memoryGib: 8,
  kernel: '6.1',
  system: 'Debian',
  fileSystem: 'ext4',
  sessions: 50,
  rounds: 3,
  versions: ['Postrider at abc', 'postfix 3.7'],
  loadBefore: 0.25,
  note: '',
}
