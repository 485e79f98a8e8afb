# Gives Docker Engine the archive on stdin as it comes. An engine that has begun to
# answer tells of errors in what it then says.
said=$(curl --silent --show-error --fail-with-body --unix-socket /var/run/docker.sock \
  --request POST --header 'Content-Type: application/x-tar' --header 'Expect:' --upload-file - \
  'http://docker/images/load?quiet=1' 2>&1) && case $said in *'"error"'*) false ;; esac && exit 0
echo "$said" >&2
exit 1
