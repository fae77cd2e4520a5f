import { context, service } from 'spillway'
import { delivery } from './pointer-contract.ts'

const searching = context('searching', {})
const index = new Map<string, string>()

export const searchingService = service(searching).on(
  delivery.events.shipped,
  ({ data: { orderId }, current }) => {
    if (current.state === 'found') index.set(orderId, current.value.address)
    else index.delete(orderId)
  },
  { coalesce: true },
)
