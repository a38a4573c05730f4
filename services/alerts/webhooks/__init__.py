"""Alerts by webhook, as Standard Webhooks (https://www.standardwebhooks.com) specifies them.

`store` keeps endpoints, deliveries and attempts in the alerts' database; `sealing` encrypts secrets; `posting` makes one signed request, to permitted
addresses alone; `worker` works off the deliveries, each endpoint by itself; `http` is the lab's side.
"""
