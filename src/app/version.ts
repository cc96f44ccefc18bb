// The version of this program, as package.json has it.

import packageFacts from '../../package.json' with { type: 'json' }

export const version: string = packageFacts.version
