// Questions to an engine about many things: a few at the same time, answers in their order.

export async function eachOf<In, Out>(items: readonly In[], ask: (item: In) => Promise<Out>): Promise<Out[]> {
  const answers: Out[] = []
  let next = 0
  const worker = async () => {
    for (let index = next++; index < items.length; index = next++) answers[index] = await ask(items[index]!)
  }
  await Promise.all(Array.from({ length: 8 }, worker))
  return answers
}
