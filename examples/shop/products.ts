// What a stock code says, and an invoice of stock codes. Goods begin with five digits, as 85123A; postage, vouchers and bank charges do not.
import type { Invoice } from './orders/contract.ts'

export function isGoods(stockCode: string): boolean {
  return /^\d{5}/.test(stockCode)
}

/** The range that goods belong to, which is a page of the catalogue: 85123A is of the range 851. */
export function rangeOf(stockCode: string): string {
  return stockCode.slice(0, 3)
}

/** What is wanted, before anybody has judged it. What cannot be read is for the orders to refuse. */
export function wantedIn({ rows }: Invoice): { product: string; pieces: number }[] {
  return rows.flatMap(({ stockCode: product, quantity }) =>
    /^\d{1,7}$/.test(quantity) && product !== '' ? [{ product, pieces: Number(quantity) }] : [],
  )
}
