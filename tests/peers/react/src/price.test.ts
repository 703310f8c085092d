import { expect, test } from 'vitest'
import { price } from './price'

test('a price has two decimals', () => {
  expect(price(1250)).toBe('12.50 €')
})
