"""The board: web pages on which a lab's people see who is neutral, and why.

It reads what the services publish: `neutrality.scores` for how things stand, the two input topics for how they came to stand so and what would
change them, and the API of alerts, under the lab's own key, for all that is the lab's own. It keeps nothing. `domain` is pure; `feed` fills it from
Kafka; `pages` answer browsers; `main` puts them together. Why it is so: docs/decisions/0021-the-board.md.
"""
