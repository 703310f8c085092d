"""Git, trees and isolation."""
