// spillway up --metrics: what the process measures, as Prometheus reads it. The SDK is an optional peer: who has one of their own needs none of this.
import { asError, SpillwayError } from '../core/errors.ts'

export interface MetricsServer {
  readonly address: string
  close(): Promise<void>
}

/** '9464', '0.0.0.0:9464', '[::1]:9464': without a host the loopback. */
export function metricsAt(text: string): { readonly host: string; readonly port: number } | undefined {
  const [, v6, host = v6 ?? '127.0.0.1', port] =
    /^(?:(?:\[([\w:.%]+)\]|([^:[\]]+)):)?(\d{1,5})$/.exec(text) ?? []
  return port === undefined || Number(port) > 65_535 ? undefined : { host, port: Number(port) }
}

/** Before `run`: what is measured before there is an SDK is measured by nobody. Throws CLIENT_MISSING. */
export async function serveMetrics(at: {
  readonly host: string
  readonly port: number
}): Promise<MetricsServer> {
  const [{ metrics }, { MeterProvider }, { PrometheusExporter }] = await load()
  const exporter = new PrometheusExporter({ ...at, preventServerStart: true })
  const provider = new MeterProvider({ readers: [exporter] })
  metrics.setGlobalMeterProvider(provider)
  try {
    await exporter.startServer()
  } catch (thrown) {
    const why = asError(thrown).message
    throw new SpillwayError(
      'CONFIGURATION',
      `Metrics cannot be served at ${shownHost(at.host)}:${at.port}: ${why}.`,
      {
        cause: thrown,
      },
    )
  }
  return {
    address: `http://${shownHost(at.host)}:${at.port}/metrics`,
    async close() {
      metrics.disable()
      await provider.shutdown()
    },
  }
}

/** As it stands in a URL. */
function shownHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

async function load() {
  try {
    return await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/sdk-metrics'),
      import('@opentelemetry/exporter-prometheus'),
    ])
  } catch (thrown) {
    if ((asError(thrown) as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw thrown
    throw new SpillwayError(
      'CLIENT_MISSING',
      '--metrics needs the OpenTelemetry SDK: npm install @opentelemetry/sdk-metrics@3 @opentelemetry/exporter-prometheus@0.301.',
      { cause: thrown },
    )
  }
}
