// Checks across keys that a schema cannot say: doors that collide, open relays, things that are not served yet.
//
// Place on the path: off it; the last step of loading. Each check is one function that yields problems.

import { formatSocketAddress, isEverybody } from './address.ts'
import type { Problem } from './problem.ts'
import type { Config } from './types.ts'

/** A problem and the TOML path it belongs to. */
export interface CheckedProblem extends Omit<Problem, 'where'> {
  readonly path: readonly (string | number)[]
}

/** All problems of a configuration whose keys are all valid by themselves. */
export function checkConfig(config: Config): CheckedProblem[] {
  return [...listenerProblems(config), ...routeProblems(config), ...otherProblems(config)]
}

const widest = 'the widest a /8, for IPv6 a /16'

function* listenerProblems(config: Config): Generator<CheckedProblem> {
  const taken = new Map<string, string>()
  if (config.http.address) taken.set(formatSocketAddress(config.http.address), '[http]')
  for (const [index, listener] of config.listeners.entries()) {
    const path = ['listener', index]
    const address = formatSocketAddress(listener.address)
    const other = listener.address.port === 0 ? undefined : taken.get(address)
    if (other !== undefined)
      yield {
        path: [...path, 'address'],
        what: `${address} is already taken by ${other}`,
        hint: 'choose another port',
      }
    taken.set(address, `[[listener]] number ${index + 1}`)
    if (listener.kind === 'mx')
      yield {
        path: [...path, 'kind'],
        what: 'receiving mail from the internet (kind "mx") is not served by this version',
        hint: 'remove this [[listener]], or use "relay" with networks',
      }
    for (const network of listener.networks)
      if (isEverybody(network))
        yield {
          path: [...path, 'networks'],
          what: `${network} is everybody, or more than anybody has: this listener would be an open relay`,
          hint: `name the networks of your own machines, ${widest}`,
        }
    for (const network of listener.proxyProtocol)
      if (isEverybody(network))
        yield {
          path: [...path, 'proxy_protocol'],
          what: `${network} is everybody, or more than anybody has: any client could choose its own address`,
          hint: `name the addresses of your load balancers, ${widest}`,
        }
  }
}

function* routeProblems(config: Config): Generator<CheckedProblem> {
  const seen = new Set<string>()
  for (const [index, route] of config.routes.entries()) {
    if (seen.has(route.recipientDomain))
      yield {
        path: ['route', index, 'recipient_domain'],
        what: `there is already a route for "${route.recipientDomain}"`,
        hint: 'keep one of them',
      }
    seen.add(route.recipientDomain)
    if ((route.username === null) === (route.password === null)) continue
    const missing = route.username === null ? 'username' : 'password'
    yield {
      path: ['route', index, missing === 'username' ? 'password' : 'username'],
      what: `the route has no ${missing} to go with it`,
      hint: missing === 'username' ? 'add username' : 'add password_file, or password',
    }
  }
}

function* otherProblems(config: Config): Generator<CheckedProblem> {
  if (!config.store.url.startsWith('sqlite:'))
    yield { path: ['store', 'url'], what: 'PostgreSQL is not served by this version', hint: 'use "sqlite:"' }
  const families = config.delivery.bind.map(address => (address.includes(':') ? 6 : 4))
  if (new Set(families).size < families.length)
    yield {
      path: ['delivery', 'bind'],
      what: 'more than one source address of the same family is named',
      hint: 'name at most one IPv4 and one IPv6 address',
    }
  if (config.limits.headerSizeBytes > config.limits.messageSizeBytes)
    yield {
      path: ['limits', 'header_size'],
      what: 'the header block may be larger than the message',
      hint: 'raise message_size or lower header_size',
    }
}
