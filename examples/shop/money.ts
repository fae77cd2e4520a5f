// Money is a whole number of pence. Prices may be finer than that, so a line is computed exactly and rounded once.

/** The pence of a quantity at a price in pounds, half a penny away from zero. The price is plain decimal digits: '2.55'. */
export function penceOf(quantity: number, price: string): number {
  const [pounds = '', decimals = ''] = price.split('.')
  const exact = BigInt(quantity) * BigInt(pounds + decimals.padEnd(2, '0'))
  const unit = 10n ** BigInt(Math.max(decimals.length - 2, 0))
  const half = exact < 0n ? -unit / 2n : unit / 2n
  return Number((exact + half) / unit)
}

const sterling = new Intl.NumberFormat('en-GB', { style: 'currency', currency: 'GBP' })

/** £1,234.50 */
export function pounds(pence: number): string {
  return sterling.format(pence / 100)
}
