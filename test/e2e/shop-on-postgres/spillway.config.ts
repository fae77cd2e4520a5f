// The shop on PostgreSQL, as far as databases go: five services keep theirs there, where the queues and streams are too. Mails, pushes and pictures stay on
// SQLite: each service has the database that it likes.
import { accounting } from '../../../examples/shop/accounting/contract.ts'
import { phoneOf } from '../../../examples/shop/driver/phones.ts'
import { notificationsService } from '../../../examples/shop/notifications/service.ts'
import { picturesService } from '../../../examples/shop/pictures/service.ts'
import { topology } from '../../../src/index.ts'
import { deliveryService, inventoryService } from './goods.ts'
import { checkoutService, ordersService, paymentsService } from './selling.ts'

const { SHOP_ENGINE = '', SHOP_DATA = '', SMTP_URL = '', PUSH_URL = '', SHOP_ADDRESSES = '{}' } = process.env

export default topology({
  contexts: [
    checkoutService(SHOP_ENGINE),
    ordersService(SHOP_ENGINE),
    paymentsService(SHOP_ENGINE),
    inventoryService(SHOP_ENGINE),
    deliveryService(SHOP_ENGINE),
    notificationsService({
      folder: SHOP_DATA,
      smtpUrl: SMTP_URL,
      phoneOf: (customer) => phoneOf(customer, PUSH_URL),
    }),
    picturesService(SHOP_DATA),
    accounting,
  ],
  engine: SHOP_ENGINE,
  addresses: JSON.parse(SHOP_ADDRESSES),
})
