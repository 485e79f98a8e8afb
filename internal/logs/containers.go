package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// mostContainers of a node are asked for.
const mostContainers = 400

// container is what a container runtime knows of one of Kubernetes' containers. What
// it was configured with is left out.
type container struct {
	ID        string `json:"id"`
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Name      string `json:"name"`
	// Life counts from 0 how often it was started again.
	Life     int    `json:"life"`
	State    string `json:"state"` // "CONTAINER_EXITED"
	ExitCode int    `json:"exitCode"`
	Reason   string `json:"reason,omitempty"` // "OOMKilled"
	Message  string `json:"message,omitempty"`
	Image    string `json:"image,omitempty"`
	Created  string `json:"created,omitempty"`
	Started  string `json:"started,omitempty"`
	Finished string `json:"finished,omitempty"`
}

func (c container) key() string { return podKey(c.Namespace, c.Pod, c.Name) }

// States of containers.
const (
	exited  = "CONTAINER_EXITED"
	running = "CONTAINER_RUNNING"
)

// inspected is the part of crictl's "inspect" that is read.
type inspected struct {
	Status struct {
		ID       string `json:"id"`
		Metadata struct {
			Name    string `json:"name"`
			Attempt int    `json:"attempt"`
		} `json:"metadata"`
		State      string            `json:"state"`
		CreatedAt  string            `json:"createdAt"`
		StartedAt  string            `json:"startedAt"`
		FinishedAt string            `json:"finishedAt"`
		ExitCode   int               `json:"exitCode"`
		Reason     string            `json:"reason"`
		Message    string            `json:"message"`
		Labels     map[string]string `json:"labels"`
		Image      struct {
			Image             string `json:"image"`
			UserSpecifiedName string `json:"userSpecifiedImage"`
		} `json:"image"`
	} `json:"status"`
}

// parseContainers reads what crictl's "inspect" prints: objects one after the other,
// or a list of them. With an error it gives those before it.
func parseContainers(text []byte) ([]container, error) {
	var found []container
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var value json.RawMessage
		err := d.Decode(&value)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return found, fmt.Errorf("reading what the container runtime says: %w", err)
		}
		list := []inspected{{}}
		if value[0] == '[' {
			err = json.Unmarshal(value, &list)
		} else {
			err = json.Unmarshal(value, &list[0])
		}
		if err != nil {
			return found, fmt.Errorf("reading what the container runtime says: %w", err)
		}
		for _, i := range list {
			found = append(found, containerOf(i))
		}
	}
}

func containerOf(i inspected) container {
	s := i.Status
	image := s.Image.UserSpecifiedName
	if image == "" {
		image = s.Image.Image
	}
	return container{
		ID: s.ID, Namespace: s.Labels["io.kubernetes.pod.namespace"], Pod: s.Labels["io.kubernetes.pod.name"], Name: s.Metadata.Name,
		Life: s.Metadata.Attempt, State: s.State, ExitCode: s.ExitCode, Reason: s.Reason, Message: s.Message,
		Image: image, Created: s.CreatedAt, Started: s.StartedAt, Finished: s.FinishedAt,
	}
}
