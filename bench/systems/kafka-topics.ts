// Empties a Kafka broker that runs for the measurements alone.
import { Admin } from '@platformatic/kafka'

export async function deleteTopics(url: string): Promise<void> {
  const admin = new Admin({ clientId: 'bench', bootstrapBrokers: [new URL(url).host] })
  try {
    const topics = (await admin.listTopics()).filter((topic) => !topic.startsWith('__'))
    if (topics.length > 0) await admin.deleteTopics({ topics })
  } finally {
    await admin.close()
  }
}
