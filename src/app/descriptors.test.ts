import assert from 'node:assert/strict'
import { test } from 'node:test'
import { descriptorsMax, fitDescriptors } from './descriptors.ts'
import { configOf } from './test-kit.ts'

test('sessions and connections are cut to what the process may open, in proportion, and the warning says what to do', () => {
  const config = configOf('[limits]\nsessions = 2000\n[delivery]\nconnections_total = 1000\n')
  const fitted = fitDescriptors(config, 1024)
  assert.deepEqual([fitted.config.limits.sessions, fitted.config.delivery.connectionsTotal], [416, 208])
  assert.match(fitted.warnings[0]?.hint ?? '', /raise its limit to 3400/)
  assert.deepEqual(fitDescriptors(config, 3400), { config, warnings: [] })
  assert.deepEqual(fitDescriptors(config, null), { config, warnings: [] })
})

test('the limit of this process is read where the system tells it', () => {
  assert.equal(
    descriptorsMax('Limit  Soft\nMax open files            1024                 4096   files\n'),
    1024,
  )
  assert.equal(descriptorsMax(''), null)
})
