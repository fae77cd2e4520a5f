// An invoice of the shop with one line, for tests.
import type { Invoice } from '../../examples/shop/orders/contract.ts'

/** `quantity` cups at 1.25 each, for a customer in Malta. */
export function invoice(number: string, quantity: string, customer = '17850.0'): Invoice {
  return {
    number,
    rows: [
      {
        stockCode: '85123',
        description: 'Cup',
        quantity,
        unitPrice: '1.25',
        date: '2011-01-01 10:00:00',
        customer,
        country: 'Malta',
      },
    ],
  }
}
