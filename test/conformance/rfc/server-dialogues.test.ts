// Every dialogue of dialogues/*-server.txt, played against a running Postrider.

import { after, before, describe, test } from 'node:test'
import { readDialogues } from './dialogue.ts'
import { ServerStage } from './server-stage.ts'

let stage: ServerStage
before(async () => {
  stage = await ServerStage.open()
})
after(async () => {
  await stage[Symbol.asyncDispose]()
})

for (const file of readDialogues('server')) {
  describe(`RFC ${file.rfc}, ${file.title}, as server`, () => {
    for (const dialogue of file.dialogues) {
      test(`${dialogue.section} ${dialogue.rule} (${dialogue.place})`, () => stage.play(dialogue))
    }
  })
}
