// What a backup holds, and which entries of a data folder are not part of it.

/** The manifest of a backup; its presence makes a folder a backup. */
export const manifestName = 'postrider-backup.json'

/** The database inside a backup. */
export const copiedDatabase = 'postrider.db'

/** What the manifest says. */
export interface BackupManifest {
  readonly format: 1
  /** RFC 3339. */
  readonly createdAt: string
  readonly schema: number
  readonly messages: number
  readonly recipients: number
}

/** Files of the lock of a data folder. Plain file calls on the lock database would drop this process's lock. */
export function isLock(name: string): boolean {
  return name.startsWith('lock')
}

/** Entries of a data folder that a backup leaves out: what belongs to a running process, and what is copied by itself. */
export function isLeftOut(name: string): boolean {
  return (
    name.startsWith('postrider.db') ||
    name === 'segments' ||
    name === 'marks' ||
    isLock(name) ||
    // What doctor times the disk with.
    name.startsWith('.doctor-') ||
    name === 'control.path' ||
    name === manifestName
  )
}
