/** What our own scenarios stand on: sink, DNS, generator and server, each in a process of its own, in a scratch folder. */
import { Scratch } from '../../test/support/peers/index.ts'
import {
  type ConversationOptions,
  type GeneratorProcess,
  makeSinkPem,
  manyDomains,
  oneDomain,
  type SinkProcess,
  startDnsProcess,
  startGenerator,
  startSinkProcess,
} from '../traffic/index.ts'
import { type ScaleServer, type ScaleServerOptions, startScaleServer } from './server.ts'

export interface StageOptions
  extends Partial<Pick<ScaleServerOptions, 'toml' | 'delivery' | 'retry' | 'env'>> {
  readonly parent: string
  /** Besides `sink.test`; default none. */
  readonly domains?: number
  /** Suffix of their MX names; default one of no provider, so that each domain is a site. */
  readonly suffix?: string
  /** The sink offers STARTTLS. */
  readonly isSecure?: boolean
  readonly tracked?: number
}

export interface Stage extends AsyncDisposable {
  readonly sink: SinkProcess
  readonly generator: GeneratorProcess
  readonly server: ScaleServer
  readonly folder: string
  /** What all sessions of the generator have in common. */
  readonly session: ConversationOptions
}

const addresses = Array.from({ length: 50 }, (_, index) => `127.0.7.${index + 1}`)

export async function openStage(options: StageOptions): Promise<Stage> {
  await using owned = new AsyncDisposableStack()
  const scratch = owned.use(await Scratch.create('bench-scale', options.parent))
  const [sink, dns, generator] = [startSinkProcess(), startDnsProcess(), startGenerator()]
  for (const child of [sink, dns, generator]) owned.use(child)
  const pem = options.isSecure === true ? await makeSinkPem(scratch.path) : {}
  const sinkPort = await sink.call('start', { addresses, ...pem, tracked: options.tracked ?? 0 })
  const { domains = 0, suffix = 'sites.test' } = options
  const dnsPort = await dns.call('start', [
    oneDomain(addresses.slice(0, 1)),
    ...(domains > 0 ? [manyDomains(domains, suffix, addresses)] : []),
  ])
  const server = await startScaleServer({ ...options, folder: scratch.path, sinkPort, dnsPort })
  owned.use(server.program)
  await server.program.json('account', 'create', 'bench')
  const running = owned.move()
  return {
    sink,
    generator,
    server,
    folder: scratch.path,
    session: {
      port: server.port,
      bodySizeBytes: 4096,
      recipientsPerMessage: 1,
      domains,
      isKept: true,
      usesTls: false,
      login: null,
      sender: 'sender@example.com',
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

/** The highest resident memory of a process while something runs, MiB. */
export async function peakWhile<T>(
  sampleMib: () => number,
  work: () => Promise<T>,
): Promise<{ readonly peakMib: number; readonly result: T }> {
  let peakMib = sampleMib()
  const timer = setInterval(() => {
    peakMib = Math.max(peakMib, sampleMib())
  }, 100)
  try {
    const result = await work()
    return { peakMib: Math.max(peakMib, sampleMib()), result }
  } finally {
    clearInterval(timer)
  }
}
