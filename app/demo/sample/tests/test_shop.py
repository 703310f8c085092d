import unittest

from shop.greeting import greet
from shop.pricing import average, total
from shop.receipt import receipt


class ShopTest(unittest.TestCase):
    def test_total_adds_prices(self) -> None:
        self.assertEqual(total([1.0, 2.5]), 3.5)

    def test_average_is_the_mean(self) -> None:
        self.assertEqual(average([1.0, 3.0]), 2.0)

    def test_greeting_names_the_customer(self) -> None:
        self.assertEqual(greet("Ada"), "Hello, Ada!")

    def test_receipt_starts_with_the_items(self) -> None:
        self.assertTrue(receipt({"Tea": 3.0}).startswith("Tea: 3.00"))
