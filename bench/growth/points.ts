/** How cost grows: the three ways in which work grows, each with its steps; all else is the ordinary load. */

export interface GrowthPoint {
  readonly label: string
  readonly sessions: number
  readonly bodySizeBytes: number
  readonly domains: number
  readonly messages: number
  /** The one point that all series share: measured with each of them, so that the run shows how far its figures vary. */
  readonly isOrdinary?: boolean
  /** Before the measured ones: code is compiled, pools and caches are filled. */
  readonly warmUp: number
}

export interface GrowthSeries {
  readonly name: string
  readonly title: string
  readonly stepTitle: string
  /** Messages of different sizes are compared by bytes too. */
  readonly showsBytes?: boolean
  readonly points: readonly GrowthPoint[]
}

const ordinary = { sessions: 50, bodySizeBytes: 4096, domains: 1, messages: 20_000, warmUp: 20_000 } as const

export const growthSeries: readonly GrowthSeries[] = [
  {
    name: 'sessions',
    title: 'Rate and memory by client sessions',
    stepTitle: 'sessions at once; bodies of 4 KiB, one destination domain',
    points: [10, 50, 200, 1_000].map(sessions => ({
      ...ordinary,
      sessions,
      isOrdinary: sessions === ordinary.sessions,
      label: sessions.toLocaleString('en'),
    })),
  },
  {
    name: 'sizes',
    showsBytes: true,
    title: 'Rate and memory by size',
    stepTitle: 'size of a body; 50 sessions at once (20 at 25 MB), one destination domain',
    points: [
      { ...ordinary, isOrdinary: true, label: '4 KiB' },
      { ...ordinary, bodySizeBytes: 100_000, messages: 4_000, warmUp: 4_000, label: '100 KB' },
      { ...ordinary, bodySizeBytes: 1_048_576, messages: 400, warmUp: 300, label: '1 MiB' },
      { ...ordinary, bodySizeBytes: 25_000_000, messages: 40, warmUp: 20, sessions: 20, label: '25 MB' },
    ],
  },
  {
    name: 'domains',
    title: 'Rate and memory by destination domains',
    stepTitle:
      'destination domains, each with an MX name of its own at one provider; bodies of 4 KiB, 50 sessions at once',
    // Each domain is met in the warm-up, so that names are known: what is measured is their upkeep, not DNS.
    points: [1, 100, 10_000].map(domains => ({
      ...ordinary,
      domains,
      isOrdinary: domains === ordinary.domains,
      label: domains.toLocaleString('en'),
    })),
  },
]
