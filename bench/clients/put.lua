-- wrk: the same PUT again and again.
wrk.method = "PUT"
wrk.body = "value=0123456789abcdef"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
