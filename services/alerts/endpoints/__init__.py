"""A lab's endpoints, of every kind, and what is sent to them.

`store` keeps endpoints, deliveries and attempts in the alerts' database; `sealing` encrypts secrets; `making` makes and changes endpoints, and
`confirmation` asks the owners of addresses; `worker` works off the deliveries, each endpoint by itself; `http` is the lab's side, and `mail_pages`
the recipients'. `services.alerts.channels` sends.
"""
