// What a stock code says. Goods begin with five digits, as 85123A; postage, vouchers and bank charges do not.

export function isGoods(stockCode: string): boolean {
  return /^\d{5}/.test(stockCode)
}

/** The range that goods belong to, which is a page of the catalogue: 85123A is of the range 851. */
export function rangeOf(stockCode: string): string {
  return stockCode.slice(0, 3)
}
