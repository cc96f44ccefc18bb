// Waits for something, but not for ever: what a scrape asks for may take longer than a scraper waits.

/** Resolves when the work is done or the patience is over; rejects when the work does before. The work goes on. */
export async function inTime(work: Promise<void>, patienceMs: number): Promise<void> {
  const patience = Promise.withResolvers<void>()
  const timer = setTimeout(patience.resolve, patienceMs)
  try {
    await Promise.race([work, patience.promise])
  } finally {
    clearTimeout(timer)
  }
}
