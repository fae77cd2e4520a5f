// Reads the invoices of a CSV file as they stand there: a broken row is kept as an empty one, for the orders to refuse.
import { readFile } from 'node:fs/promises'
import { parse } from 'csv-parse/sync'
import type { Invoice, Row } from '../orders/contract.ts'

export interface InvoiceFile {
  readonly invoices: readonly Invoice[]
  /** How many invoice numbers and how many rows the file has, sound or not. */
  readonly numbers: number
  readonly lines: number
}

type Fields = Readonly<Record<string, string | undefined>>

export async function readInvoices(file: string): Promise<InvoiceFile> {
  const broken: Fields[] = []
  const sound: Fields[] = parse(await readFile(file), {
    bom: true,
    columns: true,
    trim: true,
    relax_quotes: true,
    relax_column_count_less: true,
    skip_empty_lines: true,
    skip_records_with_error: true,
    on_skip: () => void broken.push({}),
  })
  const rows = [...sound, ...broken]
  const byNumber = Map.groupBy(rows, ({ InvoiceNo = '' }) => InvoiceNo)
  const invoices = [...byNumber].map(([number, fields]) => ({ number, rows: fields.map(rowOf) }))
  return { invoices, numbers: byNumber.size - Number(byNumber.has('')), lines: rows.length }
}

function rowOf(fields: Fields): Row {
  const { StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country } = fields
  return {
    stockCode: StockCode ?? '',
    description: Description ?? '',
    quantity: Quantity ?? '',
    date: InvoiceDate ?? '',
    unitPrice: UnitPrice ?? '',
    customer: CustomerID ?? '',
    country: Country ?? '',
  }
}
